// Package fastnet is package net on a TCP/IP stack and a network device in the
// process itself:
//
//	import net "github.com/fastnet-go/fastnet/fastnet"
//
// is the whole change of a program that listens and dials. Types that carry no
// socket (IP, TCPAddr, OpError ...) are package net's own; TCPConn, UDPConn,
// TCPListener, Dialer, ListenConfig and Buffers are this package's, and hold
// either a socket of the stack's or one of the kernel's. Errors are package
// net's: the same *OpError around the same errno, with the same words.
//
// Programs that leave listening and dialling to net/http or crypto/tls
// (http.ListenAndServe, http.Get, tls.Listen) import the companion packages
// fastnet/http and fastnet/tls instead of those.
//
// # Networks
//
// A Network is a host of the stack's on a device. New makes one, and its
// methods (Listen, Dial ...) use it. The package's functions use the default
// network, which comes from, in this order:
//
//   - Configure, called before the first use;
//   - the environment variable FASTNET: a short string such as
//     "tap:name=fast0,addr=10.77.0.2/24,gw=10.77.0.1", or a TOML file's path
//     (see ParseConfig and LoadConfig), or "loopback:", a host with nothing but
//     its own loopback interface;
//   - nothing, and then they are package net's, and say so once through slog.
//
// # What the kernel still does
//
// Unix sockets, raw IP sockets but those for ICMP, descriptors of the kernel's (FileConn
// ...) and the sockets that Config.Kernel names go to package net. These are fallbacks:
// counted, logged once, and refused with Config.Require. Names are looked up by
// package net too, unless Config.DNS has servers. File of a socket of the stack's is
// good for FileConn and its like, and that of a connection carries its bytes; SyscallConn
// sets options and, of a TCPConn, reads and writes, on Linux. A Control function
// gets a socket of the kernel's to set options on, which then are the stack's
// socket's (see ListenConfig): one that is never bound, or the kernel's half of a
// listener that listens in both places.
//
// Loopback addresses follow Config.Loopback. On a TAP device they are the
// kernel's unless configured otherwise: 127.0.0.1 and ::1 reach the other
// programs of this machine, and a TCP listener on a wildcard address listens in
// both places. (A UDP socket on a wildcard address is in the stack only.) On a
// device that the caller brings they are the stack's.
package fastnet
