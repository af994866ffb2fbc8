// Package header holds views on wire formats: Ethernet, ARP, IPv4, IPv6 and
// its extension headers, ICMPv4, ICMPv6, neighbour discovery, UDP and TCP.
//
// A view is a named byte slice. A Parse function (or a Valid method) decides
// once whether the bytes are long enough and consistent; after it succeeded
// every accessor of the view is in range, whatever the bytes say. Accessors
// on bytes that were not checked may panic, and so may setters and Put
// functions on a buffer shorter than what they document.
//
// The package keeps no state, allocates nothing on any path, and its
// functions may be called from any goroutine as long as nobody writes the
// bytes at the same time. Parse functions return sentinel errors, so that
// callers can count drops by reason.
//
// Numbers are in host order in every signature; addresses are arrays in
// network order or netip.Addr.
package header
