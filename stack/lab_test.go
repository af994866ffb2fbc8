package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
)

// lab is a host that one goroutine drives, on a clock of its own. The other end
// of its wire is the test, which builds frames and looks at those that the host
// sends. The host is 10.0.0.1 and fd00::1; the test is anybody else.
type lab struct {
	testing.TB
	now   time.Duration
	wire  *wire.Wire
	host  *Host
	iface *Interface
	raw   nic.Queue
	mac   [6]byte // the host's
	peer  [6]byte // the test's

	mute   bool    // do not answer ARP and ND
	frames []frame // sent by the host, but ARP and ND unless mute
}

var (
	ip4Host, ip4Peer = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ip6Host, ip6Peer = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
)

func newLab(t testing.TB, cfg wire.Config) *lab { return newLabWith(t, cfg, Config{}) }

func newLabWith(t testing.TB, cfg wire.Config, hc Config) *lab {
	t.Helper()
	w, err := wire.New(cfg)
	require.NoError(t, err)
	l := &lab{TB: t, now: time.Hour, wire: w, raw: w.Port(1).Queues()[0]}
	rng := rand.New(rand.NewPCG(1, 2))
	hc.Clock = func() time.Duration { return l.now }
	hc.Rand = func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	l.host = NewHost(hc)
	l.iface, err = l.host.Attach(w.Port(0), InterfaceConfig{Addrs: []netip.Prefix{
		netip.PrefixFrom(ip4Host, 24), netip.PrefixFrom(ip6Host, 64),
	}})
	require.NoError(t, err)
	l.mac, l.peer = w.Port(0).Info().MAC, w.Port(1).Info().MAC
	t.Cleanup(l.close)
	return l
}

// close ends everything and looks for what was not given back.
func (l *lab) close() {
	if err := l.host.Close(); err != ErrClosed {
		require.NoError(l, err)
	}
	l.wire.Port(0).Close()
	l.wire.Port(1).Close()
	require.Zero(l, l.wire.InUse(), "packets of the wire in use after Close")
	require.Zero(l, l.host.BuffersInUse(), "buffers in use after Close")
	require.Zero(l, l.host.Timers(), "timers pending after Close")
}

// inject gives the host a frame.
func (l *lab) inject(b []byte) {
	l.Helper()
	p := l.raw.Alloc(len(b))
	require.NotNil(l, p)
	copy(p.Extend(len(b)), b)
	require.Equal(l, 1, l.raw.Send([]*nic.Packet{p}))
}

// run lets the host work until there is nothing to do now.
func (l *lab) run() {
	for range 10_000 {
		n := l.host.Poll()
		n += l.collect()
		if n == 0 && l.host.NextEvent() > l.now {
			if l.host.FlushIdle() == 0 && l.collect() == 0 {
				return
			}
		}
	}
	l.Fatal("the host does not come to rest")
}

// collect takes what the host has sent.
func (l *lab) collect() int {
	var pkts [64]*nic.Packet
	n := l.raw.Recv(pkts[:])
	for _, p := range pkts[:n] {
		b := make([]byte, p.FrameLen())
		p.CopyTo(b, 0)
		if p.Checksum == nic.ChecksumPartial {
			sum, off, ok := p.CompleteChecksum()
			require.True(l, ok)
			binary.BigEndian.PutUint16(b[off:], sum)
		}
		p.Release()
		f := parseFrame(l, b)
		if !l.mute && l.answer(&f) {
			continue
		}
		l.frames = append(l.frames, f)
	}
	return n
}

// answer answers ARP requests and neighbour solicitations, of any address but
// the host's, and reports whether f was one.
func (l *lab) answer(f *frame) bool {
	switch {
	case f.typ == header.TypeARP:
		a := header.ARP(f.bytes[header.EthernetLen:])
		if a.Op() == header.ARPRequest {
			l.inject(l.arp(header.ARPReply, l.peer, a.TargetIP(), l.mac, ip4Host))
		}
		return true
	case f.proto == header.ProtoICMPv6 && f.payload[0] == header.ICMPv6NeighborSolicitation:
		target := [16]byte(f.payload[8:24])
		l.inject(l.advertisement(netip.AddrFrom16(target), f.src, header.NDPSolicited|header.NDPOverride, &l.peer))
		return true
	case f.proto == header.ProtoICMPv6 && f.payload[0] == header.ICMPv6NeighborAdvertisement:
		return true
	}
	return false
}

// take runs the host and returns what it has sent.
func (l *lab) take() []frame {
	l.run()
	fs := l.frames
	l.frames = nil
	return fs
}

// one is take when a single frame is expected.
func (l *lab) one() frame {
	l.Helper()
	fs := l.take()
	require.Len(l, fs, 1)
	return fs[0]
}

// quiet checks that the host sends nothing.
func (l *lab) quiet() {
	l.Helper()
	require.Empty(l, l.take())
}

// sleep lets time pass, event by event.
func (l *lab) sleep(d time.Duration) {
	l.Helper()
	end := l.now + d
	for range 100_000 {
		l.run()
		next := l.host.NextEvent()
		if next > end {
			l.now = end
			l.run()
			return
		}
		l.now = max(next, l.now)
	}
	l.Fatal("time does not pass")
}

// drops returns how many packets were dropped for a reason.
func (l *lab) drops(d Drop) uint64 { return l.host.count.drops[d].Load() }
