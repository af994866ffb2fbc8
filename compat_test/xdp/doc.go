// Package xdp tests servers on a live interface, beside the kernel: network
// namespaces joined by veth, the kernel's own clients and servers at one end and
// next to fastnet at the other. Everything needs root and Linux, and is skipped
// with a word elsewhere.
//
// A server is a process of its own, this test's binary in another role
// (program_linux_test.go), so that it can be killed. rig_linux_test.go has the
// namespaces. clients_linux_test.go is the kernel's own clients and scanners,
// beside_linux_test.go what goes on undisturbed next to them (sshd, a server of the
// kernel's); kill, change, flood and mixed are what happens to a live server.
// agent_linux_test.go and load_linux_test.go are the program's servers and its load.
//
// With FASTNET_SOAK set, TestKilledAtRandomMoments kills 100 times instead of 20,
// TestFlood has 20 rounds instead of one, and TestMixedLoad takes ten minutes instead
// of 30 s: go test -v -timeout 40m -run 'Kill|Mixed|Flood' ./xdp
package xdp
