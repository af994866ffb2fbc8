// Package afxdp is a driver for AF_XDP sockets: it takes chosen packets of a
// live Linux interface past the kernel's network stack, and leaves the others
// to it.
//
// An eBPF program on the interface steers each packet (bpf/steer.c): what
// Filter says is ours goes to a socket, the rest passes as if nothing were
// there. The sockets share one region of memory with the kernel (the UMEM),
// which belongs to the device's pools, so a packet is built and read in place;
// whether the kernel copies it from there depends on the interface's driver.
// Program, sockets and memory go with the process, however it ends.
//
// Read config.go and report.go first, then bpf/steer.c, then device_linux.go,
// queue_linux.go (sleep and wake), receive_linux.go, transmit_linux.go and
// ring_linux.go; super_linux.go sends what is larger than the MTU, and
// probe_linux.go finds out what an interface can do.
package afxdp

import "errors"

// Errors that Open and Probe wrap. A configuration that falls back to another
// device does so for these; other errors are mistakes to be corrected.
var (
	// ErrUnavailable: this machine cannot do it, whatever the configuration:
	// the kernel or the driver lacks something, or a capability is missing.
	ErrUnavailable = errors.New("not available here")
	// ErrBusy: somebody else has what is needed: another process has the
	// interface's queues, or its XDP program is attached.
	ErrBusy = errors.New("in use")
)
