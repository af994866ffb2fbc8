// Package reassembly puts the fragments of IPv4 (RFC 791 section 3.2) and IPv6
// (RFC 8200 section 4.5) datagrams together again, within bounds. A [Table] is
// for one of the two.
//
// Payloads are copied in the order in which they arrive, together with a sorted list of
// where each belongs, so a datagram whose fragments arrive in order is complete
// without another copy, and the packets are free at once. As nothing may overlap,
// the bytes held equal the datagram's length exactly when there is no hole (the
// simplest form of RFC 815).
//
// Fragments that overlap are never honest: the whole datagram is dropped, as RFC
// 5722 and RFC 8200 demand for IPv6, and for IPv6 what belongs to it is refused until its
// time is over. An identification of IPv4 has 16 bits and comes again soon, so
// there the datagram is only forgotten. An exact copy of a fragment is ignored.
//
// Memory is bounded by bytes in all, bytes for a pair of addresses, datagrams and
// fragments of a datagram; what exceeds a bound evicts the oldest datagram that
// counts for it. Bytes are those allocated, with an estimate for the bookkeeping.
package reassembly
