// Package xdp tests servers on a live interface, beside the kernel: network
// namespaces joined by veth, the kernel's own clients and servers at one end and
// next to fastnet at the other. Everything needs root and Linux, and is skipped
// with a word elsewhere.
//
// A server is a process of its own, this test's binary in another role
// (program_linux_test.go), so that it can be killed. rig_linux_test.go has the
// namespaces.
package xdp
