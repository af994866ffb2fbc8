package stack

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// bind is a socket in a table of what may be bound beside what.
type bind struct {
	addr  string
	only  bool // V6Only
	reuse bool // ReusePort
}

// What two sockets may be bound to at the same port; the other order is alike.
var bindings = []struct {
	a, b bind
	want error
}{
	{bind{addr: "0.0.0.0"}, bind{addr: "0.0.0.0"}, syscall.EADDRINUSE},
	{bind{addr: "0.0.0.0"}, bind{addr: "10.0.0.1"}, syscall.EADDRINUSE},
	{bind{addr: "10.0.0.1"}, bind{addr: "10.0.0.1"}, syscall.EADDRINUSE},
	{bind{addr: "10.0.0.1"}, bind{addr: "127.0.0.1"}, nil},
	{bind{addr: "::"}, bind{addr: "0.0.0.0"}, syscall.EADDRINUSE},
	{bind{addr: "::"}, bind{addr: "10.0.0.1"}, syscall.EADDRINUSE},
	{bind{addr: "::"}, bind{addr: "fd00::1"}, syscall.EADDRINUSE},
	{bind{addr: "::"}, bind{addr: "::"}, syscall.EADDRINUSE},
	{bind{addr: ""}, bind{addr: "::"}, syscall.EADDRINUSE},
	{bind{addr: ""}, bind{addr: "0.0.0.0"}, syscall.EADDRINUSE},
	{bind{addr: "::", only: true}, bind{addr: "0.0.0.0"}, nil},
	{bind{addr: "::", only: true}, bind{addr: "10.0.0.1"}, nil},
	{bind{addr: "::", only: true}, bind{addr: "fd00::1"}, syscall.EADDRINUSE},
	{bind{addr: "::", only: true}, bind{addr: "::", only: true}, syscall.EADDRINUSE},
	{bind{addr: "::", only: true}, bind{addr: "::"}, syscall.EADDRINUSE},
	{bind{addr: "fd00::1"}, bind{addr: "10.0.0.1"}, nil},
	{bind{addr: "fd00::1"}, bind{addr: "::1"}, nil},
	{bind{addr: "0.0.0.0", reuse: true}, bind{addr: "0.0.0.0", reuse: true}, nil},
	{bind{addr: "::", reuse: true}, bind{addr: "10.0.0.1", reuse: true}, nil},
	{bind{addr: "0.0.0.0", reuse: true}, bind{addr: "0.0.0.0"}, syscall.EADDRINUSE},
}

// at is the address with a port.
func (b bind) at(port uint16) netip.AddrPort {
	if b.addr == "" {
		return netip.AddrPortFrom(netip.Addr{}, port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(b.addr), port)
}

func TestUDPBindings(t *testing.T) {
	l := newLab(t, wire.Config{})
	for _, c := range bindings {
		for _, ab := range [][2]bind{{c.a, c.b}, {c.b, c.a}} {
			name := fmt.Sprintf("%+v beside %+v", ab[1], ab[0])
			a, err := l.host.ListenUDP(ab[0].at(0), UDPOptions{V6Only: ab[0].only, ReusePort: ab[0].reuse})
			require.NoError(t, err, name)
			port := a.LocalAddr().Port()
			require.GreaterOrEqual(t, port, uint16(firstEphemeral))
			b, err := l.host.ListenUDP(ab[1].at(port), UDPOptions{V6Only: ab[1].only, ReusePort: ab[1].reuse})
			require.Equal(t, c.want, err, name)
			if err == nil {
				b.Close()
			}
			require.NoError(t, a.Close())
			b, err = l.host.ListenUDP(ab[1].at(port), UDPOptions{V6Only: ab[1].only})
			require.NoError(t, err, "after Close")
			b.Close()
		}
	}
	_, err := l.host.ListenUDP(addrPort("10.0.0.2:53"), UDPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
	_, err = l.host.ListenUDP(addrPort("[fd00::2]:53"), UDPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
	// A connected socket's port is taken too.
	u, err := l.host.DialUDP(netip.AddrPort{}, addrPort("10.0.0.2:9"), UDPOptions{})
	require.NoError(t, err)
	_, err = l.host.ListenUDP(netip.AddrPortFrom(ip4Host, u.LocalAddr().Port()), UDPOptions{})
	require.Equal(t, syscall.EADDRINUSE, err)
}

// The most specific socket gets a datagram: connected, bound to the address,
// to the wildcard of its family, to that of both.
func TestUDPDemultiplexing(t *testing.T) {
	l := newLab(t, wire.Config{})
	listen := func(at string, only bool) *UDPConn {
		u, err := l.host.ListenUDP(addrPort(at), UDPOptions{V6Only: only, ReusePort: true})
		require.NoError(t, err)
		return u
	}
	got := func(u *UDPConn, from, to string) {
		t.Helper()
		l.inject(l.udp(addrPort(from), addrPort(to), []byte("x")))
		l.quiet()
		_, _, src, err := u.TryReadFrom(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, addrPort(from), src)
	}
	both := listen("[::]:53", false)
	got(both, "10.0.0.2:7", "10.0.0.1:53")
	got(both, "[fd00::2]:7", "[fd00::1]:53")
	all4 := listen("0.0.0.0:53", false)
	got(all4, "10.0.0.2:7", "10.0.0.1:53")
	got(both, "[fd00::2]:7", "[fd00::1]:53")
	one4 := listen("10.0.0.1:53", false)
	got(one4, "10.0.0.2:7", "10.0.0.1:53")
	got(all4, "10.0.0.2:7", "10.0.0.255:53")
	conn, err := l.host.DialUDP(addrPort("10.0.0.1:53"), addrPort("10.0.0.2:7"), UDPOptions{ReusePort: true})
	require.NoError(t, err)
	got(conn, "10.0.0.2:7", "10.0.0.1:53")
	got(one4, "10.0.0.2:8", "10.0.0.1:53")
	require.NoError(t, conn.Close())
	got(one4, "10.0.0.2:7", "10.0.0.1:53")
	require.NoError(t, both.Close())
	only6 := listen("[::]:53", true)
	got(only6, "[fd00::2]:7", "[fd00::1]:53")
	require.NoError(t, all4.Close())
	require.NoError(t, one4.Close())
	l.inject(l.udp(addrPort("10.0.0.2:7"), addrPort("10.0.0.1:53"), nil))
	require.Len(t, l.take(), 1, "unreachable: the last socket is of IPv6 only")
}

// A flow stays with one of the sockets that share a port, and flows spread.
func TestUDPReusePort(t *testing.T) {
	l := newLab(t, wire.Config{})
	var us []*UDPConn
	for range 4 {
		u, err := l.host.ListenUDP(addrPort("0.0.0.0:53"), UDPOptions{ReusePort: true})
		require.NoError(t, err)
		us = append(us, u)
	}
	where := func(port uint16) int {
		l.inject(l.udp(netip.AddrPortFrom(ip4Peer, port), addrPort("10.0.0.1:53"), nil))
		l.quiet()
		for i, u := range us {
			if _, _, _, err := u.TryReadFrom(nil); err == nil {
				return i
			}
		}
		return -1
	}
	var hits [4]int
	for port := range uint16(200) {
		i := where(port + 1000)
		require.Equal(t, i, where(port+1000))
		hits[i]++
	}
	for _, n := range hits {
		require.Greater(t, n, 20)
	}
}

func TestUDPDatagrams(t *testing.T) {
	l := newLab(t, wire.Config{})
	u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	require.Equal(t, addrPort("[::]:53"), u.LocalAddr())
	require.False(t, u.RemoteAddr().IsValid())
	from := addrPort("10.0.0.2:7")

	// One that is too long for the buffer is cut, an empty one is one too.
	l.inject(l.udp(from, addrPort("10.0.0.1:53"), []byte("0123456789")))
	l.inject(l.udp(from, addrPort("10.0.0.1:53"), nil))
	l.quiet()
	buf := make([]byte, 4)
	n, full, src, err := u.TryReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, []any{4, 10, from}, []any{n, full, src})
	n, full, _, err = u.TryReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, []int{0, 0}, []int{n, full})

	n, err = u.WriteTo(nil, from)
	require.NoError(t, err)
	require.Zero(t, n)
	f := l.one()
	require.Empty(t, f.data)
	require.EqualValues(t, 53, f.srcPort)
	require.EqualValues(t, 64, f.ttl)

	for to, want := range map[string]error{
		"10.0.0.2:0":             syscall.EINVAL,
		"192.0.2.1:9":            syscall.ENETUNREACH,
		"[2001:db8::1]:9":        syscall.ENETUNREACH,
		"[::ffff:10.0.0.2]:9":    nil,
		"10.0.0.255:9":           nil,
		"255.255.255.255:9":      nil,
		"224.0.0.251:9":          nil,
		"[ff02::fb%wire0]:9":     nil,
		"[ff02::fb]:9":           nil,
		"[fe80::1%nosuch]:9":     syscall.EINVAL,
		"0.0.0.0:53":             nil,
		"[::]:53":                nil,
		"[::ffff:127.0.0.1]:53":  nil,
		"[fe80::99%wire0]:12345": nil,
	} {
		_, err = u.WriteTo([]byte("x"), addrPort(to))
		require.Equal(t, want, err, to)
		for _, f := range l.take() {
			if f.dst.IsMulticast() {
				require.EqualValues(t, 1, f.ttl, "multicast stays on the link")
			}
			require.NotEqual(t, [6]byte{}, [6]byte(f.bytes))
		}
	}
	for range 3 { // those to this host
		_, _, src, err = u.TryReadFrom(buf)
		require.NoError(t, err)
		require.True(t, src.Addr().IsLoopback())
	}
	_, err = u.WriteTo(make([]byte, 65508), from)
	require.Equal(t, syscall.EMSGSIZE, err)
	_, err = u.WriteTo(make([]byte, 65528), addrPort("[fd00::2]:9"))
	require.Equal(t, syscall.EMSGSIZE, err)
	_, err = u.Write([]byte("x"))
	require.Equal(t, syscall.EDESTADDRREQ, err)

	c, err := l.host.DialUDP(netip.AddrPort{}, from, UDPOptions{})
	require.NoError(t, err)
	require.Equal(t, from, c.RemoteAddr())
	require.Equal(t, ip4Host, c.LocalAddr().Addr())
	_, err = c.WriteTo([]byte("x"), from)
	require.Equal(t, syscall.EISCONN, err)
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, "x", string(l.one().data))
	v4, err := l.host.ListenUDP(addrPort("0.0.0.0:0"), UDPOptions{})
	require.NoError(t, err)
	_, err = v4.WriteTo(nil, addrPort("[fd00::2]:9"))
	require.Equal(t, syscall.EAFNOSUPPORT, err)
	_, err = l.host.DialUDP(netip.AddrPort{}, addrPort("192.0.2.1:9"), UDPOptions{})
	require.Equal(t, syscall.ENETUNREACH, err)
	_, err = l.host.DialUDP(addrPort("10.0.0.7:0"), from, UDPOptions{})
	require.Equal(t, syscall.EADDRNOTAVAIL, err)
}

// What a socket does not read is bounded, also if the datagrams are empty, and
// what does not fit is counted.
func TestUDPReceiveBuffer(t *testing.T) {
	for _, size := range []int{0, 1, 1000} {
		l := newLab(t, wire.Config{})
		u, err := l.host.ListenUDP(addrPort("0.0.0.0:53"), UDPOptions{})
		require.NoError(t, err)
		require.NoError(t, u.SetReadBuffer(20_000))
		b := l.udp(addrPort("10.0.0.2:7"), addrPort("10.0.0.1:53"), pattern(size))
		for range 100 {
			l.inject(b)
		}
		l.quiet()
		kept := 0
		for {
			if _, _, _, err := u.TryReadFrom(nil); err != nil {
				break
			}
			kept++
		}
		require.Equal(t, 20_000/(size+datagramCost), kept)
		require.EqualValues(t, 100-kept, l.drops(DropReceiveBuffer))
		// A buffer smaller than a datagram takes one.
		require.NoError(t, u.SetReadBuffer(1))
		big := l.udp(addrPort("10.0.0.2:7"), addrPort("10.0.0.1:53"), pattern(1472))
		l.inject(big)
		l.inject(big)
		l.inject(big)
		l.quiet()
		_, full, _, err := u.TryReadFrom(nil)
		require.NoError(t, err)
		require.Equal(t, 1472, full)
		// Those that wait as the socket closes are released.
		l.inject(b)
		l.run()
		require.NoError(t, u.Close())
		require.Equal(t, ErrClosed, u.Close())
		l.inject(b)
		require.Len(t, l.take(), 1)
	}
}

func TestUDPDeadlinesAndClose(t *testing.T) {
	p := newPair(t, wire.Config{})
	u, err := p.a.ListenUDP(addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	buf := make([]byte, 10)
	read := func() error { _, _, _, err := u.ReadFrom(buf); return err }

	require.NoError(t, u.SetReadDeadline(time.Now().Add(-time.Second)))
	require.Equal(t, os.ErrDeadlineExceeded, read())
	require.NoError(t, u.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.Equal(t, os.ErrDeadlineExceeded, read())
	require.Equal(t, os.ErrDeadlineExceeded, read())
	require.NoError(t, u.SetReadDeadline(time.Now().Add(time.Hour)))
	time.AfterFunc(20*time.Millisecond, func() { u.SetReadDeadline(time.Now()) })
	require.Equal(t, os.ErrDeadlineExceeded, read(), "shortened while it waits")
	require.NoError(t, u.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	require.NoError(t, u.SetReadDeadline(time.Time{}))
	b, err := p.b.DialUDP(netip.AddrPort{}, addrPort("10.0.0.1:53"), UDPOptions{})
	require.NoError(t, err)
	time.AfterFunc(60*time.Millisecond, func() { b.Write([]byte("x")) })
	require.NoError(t, read(), "no deadline")

	require.NoError(t, b.SetWriteDeadline(time.Now().Add(-time.Second)))
	_, err = b.Write([]byte("x"))
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.NoError(t, b.SetDeadline(time.Time{}))
	_, err = b.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, read())

	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			if err := read2(u); err != ErrClosed {
				t.Errorf("read: %v", err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, u.Close())
	readers.Wait()
	require.Equal(t, ErrClosed, read())
	_, err = u.WriteTo(nil, b.LocalAddr())
	require.Equal(t, ErrClosed, err)
	require.Equal(t, ErrClosed, u.SetDeadline(time.Time{}))
	require.Equal(t, ErrClosed, u.SetReadBuffer(1))

	// Nobody is there any more.
	_, err = b.Write([]byte("x"))
	require.NoError(t, err)
	_, _, _, err = b.ReadFrom(buf)
	require.Equal(t, syscall.ECONNREFUSED, err)
}

func read2(u *UDPConn) error {
	_, _, _, err := u.ReadFrom(make([]byte, 10))
	return err
}

// Reads, writes and Close from many goroutines at once.
func TestUDPConcurrency(t *testing.T) {
	p := newPair(t, wire.Config{Ring: 64})
	a, err := p.a.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	b, err := p.b.ListenUDP(addrPort("[::]:53"), UDPOptions{})
	require.NoError(t, err)
	to := map[*UDPConn][]netip.AddrPort{
		a: {addrPort("10.0.0.2:53"), addrPort("[fd00::2]:53"), addrPort("127.0.0.1:53")},
		b: {addrPort("10.0.0.1:53"), addrPort("[fd00::1]:53"), addrPort("[::1]:53")},
	}
	var all sync.WaitGroup
	for u, dsts := range to {
		for i := range 3 {
			all.Go(func() {
				for n := range 2000 {
					if _, err := u.WriteTo(pattern(n%3000), dsts[(i+n)%len(dsts)]); err != nil && err != ErrClosed {
						t.Errorf("write: %v", err)
					}
				}
			})
			all.Go(func() {
				buf := make([]byte, 4000)
				for {
					n, full, _, err := u.ReadFrom(buf)
					if err != nil {
						return
					}
					if n != full || string(pattern(n)) != string(buf[:n]) {
						t.Errorf("a datagram of %d bytes, %d read, is not what was sent", full, n)
					}
				}
			})
		}
	}
	time.Sleep(200 * time.Millisecond)
	a.Close()
	b.Close()
	all.Wait()
}
