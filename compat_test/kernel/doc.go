// Package kernel holds the tests of fastnet against the Linux kernel's stack:
// each joins the two by a TAP interface in a network namespace of its own, in
// both roles, over IPv4 and IPv6, with the offloads on and off.
//
// They need root (CAP_NET_ADMIN and CAP_SYS_ADMIN) and /dev/net/tun, and are
// skipped elsewhere. The benchmarks measure; the tests assert no rate.
package kernel
