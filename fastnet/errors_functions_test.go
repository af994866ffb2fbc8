//go:build linux

package fastnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// functions are those of package net that belong to no connection.
type functions struct {
	resolveTCP      func(network, address string) (*net.TCPAddr, error)
	resolveUDP      func(network, address string) (*net.UDPAddr, error)
	resolveIP       func(network, address string) (*net.IPAddr, error)
	resolveUnix     func(network, address string) (*net.UnixAddr, error)
	lookupPort      func(network, service string) (int, error)
	lookupHost      func(host string) ([]string, error)
	lookupIP        func(host string) ([]net.IP, error)
	lookupAddr      func(addr string) ([]string, error)
	lookupCNAME     func(host string) (string, error)
	lookupTXT       func(name string) ([]string, error)
	dial            func(network, address string) (net.Conn, error)
	dialTimeout     func(network, address string, d time.Duration) (net.Conn, error)
	listen          func(network, address string) (net.Listener, error)
	listenPacket    func(network, address string) (net.PacketConn, error)
	fileConn        func(f *os.File) (net.Conn, error)
	fileListener    func(f *os.File) (net.Listener, error)
	filePacketConn  func(f *os.File) (net.PacketConn, error)
	byName          func(name string) (*net.Interface, error)
	byIndex         func(index int) (*net.Interface, error)
	dialUnix        func(network string, l, r *net.UnixAddr) (*net.UnixConn, error)
	listenUnix      func(network string, l *net.UnixAddr) (*net.UnixListener, error)
	listenUnixgram  func(network string, l *net.UnixAddr) (*net.UnixConn, error)
	dialIP          func(network string, l, r *net.IPAddr) error
	listenIP        func(network string, l *net.IPAddr) error
	listenMulticast func(network string, ifi *net.Interface, a *net.UDPAddr) error
	dialerTCP       func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error
	dialerUDP       func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error
}

var kernelFunctions = functions{
	net.ResolveTCPAddr, net.ResolveUDPAddr, net.ResolveIPAddr, net.ResolveUnixAddr,
	net.LookupPort, net.LookupHost, net.LookupIP, net.LookupAddr, net.LookupCNAME, net.LookupTXT,
	net.Dial, net.DialTimeout, net.Listen, net.ListenPacket, net.FileConn, net.FileListener, net.FilePacketConn,
	net.InterfaceByName, net.InterfaceByIndex, net.DialUnix, net.ListenUnix, net.ListenUnixgram,
	func(network string, l, r *net.IPAddr) error { return errOf(net.DialIP(network, l, r)) },
	func(network string, l *net.IPAddr) error { return errOf(net.ListenIP(network, l)) },
	func(network string, ifi *net.Interface, a *net.UDPAddr) error {
		return errOf(net.ListenMulticastUDP(network, ifi, a))
	},
	func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error {
		return errOf(d.DialTCP(ctx, network, l, r))
	},
	func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error {
		return errOf(d.DialUDP(ctx, network, l, r))
	},
}

var ourFunctions = functions{
	ResolveTCPAddr, ResolveUDPAddr, ResolveIPAddr, ResolveUnixAddr,
	LookupPort, LookupHost, LookupIP, LookupAddr, LookupCNAME, LookupTXT,
	Dial, DialTimeout, Listen, ListenPacket, FileConn, FileListener, FilePacketConn,
	InterfaceByName, InterfaceByIndex, DialUnix, ListenUnix, ListenUnixgram,
	func(network string, l, r *net.IPAddr) error { return errOf(DialIP(network, l, r)) },
	func(network string, l *net.IPAddr) error { return errOf(ListenIP(network, l)) },
	func(network string, ifi *net.Interface, a *net.UDPAddr) error {
		return errOf(ListenMulticastUDP(network, ifi, a))
	},
	func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error {
		return errOf((*Dialer)(d).DialTCP(ctx, network, l, r))
	},
	func(ctx context.Context, d *net.Dialer, network string, l, r netip.AddrPort) error {
		return errOf((*Dialer)(d).DialUDP(ctx, network, l, r))
	},
}

// addrOf describes what a function that resolves has returned.
func addrOf[T any, P interface {
	*T
	net.Addr
}](a P, err error) any {
	return outcome{opAddr(a), err}
}

// functionSituations need no network of ours: a name that they look up is none.
var functionSituations = []struct {
	name string
	run  func(t *testing.T, f *functions) []any
}{
	{"resolve addresses that are none", func(t *testing.T, f *functions) (results []any) {
		for _, a := range []string{"", "host", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:no-such-service", "[::1", "a:b:c", ":", "[::1]:80:", "[fe80::9%lo]:80"} {
			for _, n := range []string{"tcp", "tcp4", "tcp6", "udp", "udp6", "", "nonsense"} {
				results = append(results, addrOf(f.resolveTCP(n, a)), addrOf(f.resolveUDP(n, a)))
			}
		}
		return results
	}},
	{"resolve addresses", func(t *testing.T, f *functions) (results []any) {
		for _, a := range []string{"127.0.0.1:80", "[::1]:80", "localhost:http", ":80", "0.0.0.0:0", "[::]:53", "[::ffff:1.2.3.4]:5"} {
			for _, n := range []string{"tcp", "tcp4", "tcp6", "udp", "udp4", ""} {
				results = append(results, addrOf(f.resolveTCP(n, a)), addrOf(f.resolveUDP(n, a)))
			}
		}
		return results
	}},
	{"resolve IP addresses", func(t *testing.T, f *functions) (results []any) {
		for _, a := range []string{"", "127.0.0.1", "::1", "127.0.0.1:80", "[::1]", "fe80::9%lo", "localhost", "1.2.3.4.5.invalid"} {
			for _, n := range []string{"ip", "ip4", "ip6", "ip4:icmp", "ip6:58", "ip4:nonsense", "tcp", "", ":"} {
				if a == "1.2.3.4.5.invalid" && n != "tcp" && n != ":" {
					continue // a question to a server
				}
				results = append(results, addrOf(f.resolveIP(n, a)))
			}
		}
		return results
	}},
	{"resolve unix addresses", func(t *testing.T, f *functions) []any {
		return list(addrOf(f.resolveUnix("unix", "/x")), addrOf(f.resolveUnix("tcp", "/x")), addrOf(f.resolveUnix("", "")))
	}},
	{"look up ports", func(t *testing.T, f *functions) []any {
		return list(
			both(f.lookupPort("tcp", "http")), both(f.lookupPort("udp", "domain")), both(f.lookupPort("tcp", "80")), both(f.lookupPort("tcp", "")),
			both(f.lookupPort("tcp", "65536")), both(f.lookupPort("tcp", "-1")), both(f.lookupPort("tcp", "no-such-service")),
			both(f.lookupPort("nonsense", "http")), both(f.lookupPort("", "http")), both(f.lookupPort("ip", "80")),
		)
	}},
	{"look up what is no name", func(t *testing.T, f *functions) []any {
		return list(
			both(f.lookupHost("")), both(f.lookupHost("a..b")), both(f.lookupHost("127.0.0.1")), both(f.lookupHost("::1%lo")),
			both(f.lookupIP("")), both(f.lookupIP("a..b")), both(f.lookupIP("127.0.0.1")),
			both(f.lookupAddr("")), both(f.lookupAddr("nonsense")), both(f.lookupAddr("1.2.3")),
			both(f.lookupCNAME("")), both(f.lookupCNAME("a..b")), both(f.lookupTXT("")), both(f.lookupTXT("a..b")),
		)
	}},
	{"look up localhost", func(t *testing.T, f *functions) []any {
		return list(both(f.lookupHost("localhost")), both(f.lookupHost("LOCALHOST")), both(f.lookupIP("localhost")))
	}},
	{"files that are no sockets", func(t *testing.T, f *functions) []any {
		file, err := os.Open(os.DevNull)
		require.NoError(t, err)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer w.Close()
		defer r.Close()
		results := list(
			errOf(f.fileConn(file)), errOf(f.fileListener(file)), errOf(f.filePacketConn(file)),
			errOf(f.fileConn(r)), errOf(f.fileListener(w)), errOf(f.filePacketConn(r)),
		)
		require.NoError(t, file.Close())
		return append(results, errOf(f.fileConn(file)), errOf(f.fileListener(file)), errOf(f.filePacketConn(file)))
	}},
	{"files that are sockets of another kind", func(t *testing.T, f *functions) []any {
		u, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		defer u.Close()
		file, err := u.(*net.UDPConn).File()
		require.NoError(t, err)
		defer file.Close()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		lfile, err := l.(*net.TCPListener).File()
		require.NoError(t, err)
		defer lfile.Close()
		p, perr := f.filePacketConn(lfile)
		require.True(t, p == nil || perr == nil)
		return list(errOf(f.fileListener(file)), perr)
	}},
	{"interfaces that do not exist", func(t *testing.T, f *functions) []any {
		return list(
			both(f.byName("")), both(f.byName("no-such-interface")), both(f.byIndex(0)), both(f.byIndex(-1)), both(f.byIndex(1<<29)),
		)
	}},
	{"unix sockets", func(t *testing.T, f *functions) []any {
		path := filepath.Join("/nonexistent", "socket")
		return list(
			errOf(f.dialUnix("unix", nil, nil)), errOf(f.dialUnix("tcp", nil, &net.UnixAddr{Name: path})),
			errOf(f.dialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})),
			errOf(f.listenUnix("unix", nil)), errOf(f.listenUnix("unixgram", &net.UnixAddr{Name: path})),
			errOf(f.listenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})), errOf(f.listenUnixgram("unix", &net.UnixAddr{Name: path})),
			errOf(f.listenUnixgram("unixgram", nil)),
			errOf(f.dial("unix", path)), errOf(f.dial("unixgram", path)), errOf(f.dial("unixpacket", path)), errOf(f.dial("unix", "")),
			errOf(f.dialTimeout("unix", path, time.Minute)), errOf(f.listen("unix", path)), errOf(f.listen("unixgram", path)), errOf(f.listenPacket("unix", path)),
		)
	}},
	{"networks that do not exist", func(t *testing.T, f *functions) (results []any) {
		for _, n := range []string{"", "tcp7", "nonsense", "TCP", "udp ", "ip4", "ip:nonsense", "ip4:999", "tcp:6"} {
			results = append(results, errOf(f.dial(n, "127.0.0.1:80")), errOf(f.dialTimeout(n, "127.0.0.1:80", time.Minute)),
				errOf(f.listen(n, "127.0.0.1:0")), errOf(f.listenPacket(n, "127.0.0.1:0")),
				f.dialIP(n, nil, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}), f.listenIP(n, nil))
		}
		return results
	}},
	{"raw sockets that cannot be", func(t *testing.T, f *functions) []any {
		return list(
			f.dialIP("ip4:icmp", nil, nil), f.dialIP("ip4:icmp", nil, &net.IPAddr{IP: net.IPv6loopback}), f.dialIP("tcp", nil, nil),
			f.listenIP("ip4:icmp", &net.IPAddr{IP: net.IPv6loopback}), f.listenIP("udp", nil),
			errOf(f.dial("ip4:icmp", "")), errOf(f.dial("ip4:icmp", "::1")), errOf(f.listenPacket("ip4:icmp", "::1")),
		)
	}},
	{"groups that are none", func(t *testing.T, f *functions) []any {
		return list(
			f.listenMulticast("udp", nil, nil), f.listenMulticast("tcp", nil, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 250)}),
			f.listenMulticast("udp", nil, &net.UDPAddr{Port: 5}), f.listenMulticast("udp4", nil, &net.UDPAddr{IP: net.ParseIP("ff02::250")}),
		)
	}},
	{"dials by netip.AddrPort", func(t *testing.T, f *functions) []any {
		none, here := netip.AddrPort{}, netip.MustParseAddrPort("127.0.0.1:1")
		here6 := netip.MustParseAddrPort("[::1]:1")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		return list(
			f.dialerTCP(t.Context(), new(net.Dialer), "tcp", none, here), f.dialerTCP(t.Context(), new(net.Dialer), "tcp", none, here6),
			f.dialerTCP(t.Context(), new(net.Dialer), "udp", none, here), f.dialerTCP(t.Context(), new(net.Dialer), "tcp6", none, here),
			f.dialerTCP(t.Context(), new(net.Dialer), "tcp", here6, here),
			f.dialerTCP(t.Context(), &net.Dialer{Timeout: -1}, "tcp", none, here), f.dialerTCP(t.Context(), new(net.Dialer), "", none, none),
			f.dialerUDP(t.Context(), new(net.Dialer), "tcp", none, here), f.dialerUDP(t.Context(), new(net.Dialer), "udp4", none, here6),
			f.dialerUDP(ended, new(net.Dialer), "udp", none, here),
		)
	}},
}

// TestErrorsOfFunctionsAreThoseOfPackageNet: with the host's own loopback for a
// default network.
func TestErrorsOfFunctionsAreThoseOfPackageNet(t *testing.T) {
	for _, s := range functionSituations {
		t.Run(s.name, func(t *testing.T) {
			var want []string
			for _, v := range s.run(t, &kernelFunctions) {
				want = append(want, describe(v))
			}
			withDefault(t, "loopback:", func() {
				got := s.run(t, &ourFunctions)
				require.Len(t, got, len(want))
				for i := range got {
					if got := describe(got[i]); got != want[i] {
						t.Errorf("result %d:\n got %s\nwant %s", i, got, want[i])
					}
				}
			})
		})
	}
}
