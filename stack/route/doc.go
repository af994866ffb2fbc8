// Package route is a host's routing table for IPv4 and IPv6, and the choice of
// addresses that goes with it: the source for a destination, and the order in which to try
// several destinations (RFC 6724).
//
// The table is made for readers: each change copies the path to what it changes
// in a trie and publishes the new root, so that [Table.Lookup] takes no lock and
// allocates nothing, and sees a change whole or not at all.
package route
