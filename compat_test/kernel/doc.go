// Package kernel holds the tests of fastnet against the Linux kernel's stack:
// each joins the two by a TAP interface in a network namespace of its own, in
// both roles, over IPv4 and IPv6, with the offloads on and off.
//
// They need root (CAP_NET_ADMIN and CAP_SYS_ADMIN) and /dev/net/tun, and are
// skipped elsewhere. The benchmarks measure; the tests assert no rate.
//
// FASTNET_PCAP=FOLDER writes what each test's stack sees, FASTNET_STATS=1 shows
// the counters of all tests, not of the failed ones alone.
package kernel
