// Package neighbor is the neighbour cache of one interface: it maps IP
// addresses on the link to link-layer addresses, for IPv4 by ARP (RFC 826, RFC 1122
// section 2.3.2) and for IPv6 by Neighbor Discovery (RFC 4861 section 7). Both
// run the state machine of neighbour unreachability detection, RFC 4861 section
// 7.3 and appendix C.
//
// The package is sans I/O: it parses and sends nothing. Messages come in as
// [Cache.Advertised] and [Cache.Heard]; what is to be sent comes out of
// [Cache.Advance] as actions, also what inputs and [Cache.Enqueue] cause, so
// that their caller looks at [Cache.Next] afterwards, which is then due.
//
// The data path keeps an [Entry] and asks [Cache.Use] for the address of each
// packet: two atomic loads while the neighbour is reachable.
//
// # Whom to believe
//
// Neither protocol authenticates. RFC 826 and RFC 4861 let any message overwrite
// an address; here a neighbour known to be reachable is asked first:
//
//   - A reply is solicited only if the cache has asked and not been answered,
//     whatever the Solicited flag says. Unsolicited ones never create an entry.
//   - A claim of another address that would override that of an entry which
//     is REACHABLE, DELAY or PROBE changes nothing at once. The entry is doubted:
//     within RetransTimer the address in use is probed (unicast), and the hints
//     of upper layers do not count until it has answered. Only when it does not,
//     multicast solicitations follow and the first to answer has it: a true move,
//     such as the failover of a router, takes about four seconds. Here the cache is
//     stricter than RFC 4861 section 7.2.5, which lets the Override flag win.
//   - A STALE entry follows RFC 4861 section 7.2.5 and takes the new address.
//   - A permanent entry never changes.
//
// # Bounds
//
// The number of entries is bounded, and so that a scan of addresses that do
// not exist, or made-up neighbours, cannot push out those in use (RFC 6583),
// entries never confirmed are evicted first once they are a quarter of all.
package neighbor
