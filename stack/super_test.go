package stack

import (
	"crypto/sha256"
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// partsDevice delivers what a device receives in parts of at most 1400 bytes, as
// one with small buffers does.
type partsDevice struct {
	nic.Device
	pool *nic.Pool
}

type partsQueue struct {
	nic.Queue
	pool *nic.Pool
}

func (d *partsDevice) Queues() []nic.Queue {
	var qs []nic.Queue
	for _, q := range d.Device.Queues() {
		qs = append(qs, &partsQueue{q, d.pool})
	}
	return qs
}

func (q *partsQueue) Recv(pkts []*nic.Packet) int {
	n := q.Queue.Recv(pkts)
	for i, p := range pkts[:n] {
		size := p.FrameLen()
		c := q.pool.GetChain(size)
		if c == nil {
			continue
		}
		off := 0
		for part := c; part != nil; part = part.Next() {
			off += p.CopyTo(part.Extend(min(part.Tailroom(), size-off)), off)
		}
		c.Meta = p.Meta
		p.Release()
		pkts[i] = c
	}
	return n
}

// A super-segment in parts is taken part by part, without being copied together.
func TestSuperSegmentsInParts(t *testing.T) {
	for _, at := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
		t.Run(at, func(t *testing.T) {
			p := newPairOn(t, wire.Config{TSO: true}, func(d nic.Device) nic.Device {
				return &partsDevice{d, mustPool(nic.PoolConfig{BufferSize: 1464, Headroom: 64})}
			})
			s, c := p.connect(t, at)
			const size = 8 << 20
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i>>8 ^ i)
			}
			go func() {
				c.Write(data)
				c.CloseWrite()
			}()
			got := sha256.New()
			n, err := io.Copy(got, reader{s})
			require.NoError(t, err)
			require.EqualValues(t, size, n)
			want := sha256.Sum256(data)
			require.Equal(t, want[:], got.Sum(nil))
			require.Zero(t, p.a.Stats().IP.Joined)
			require.NoError(t, s.Close())
			require.NoError(t, c.Close())
		})
	}
}

// An IPv6 packet in parts from an IPv4-mapped address is not of the IPv4
// connection with the same tuple (RFC 4291 section 2.5.5.2 names no such packet).
func TestSuperSegmentsOfMappedAddresses(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.accept(ln, addrPort("10.0.0.2:5000"))
	mapped := func(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }
	data := make([]byte, 300)
	body := tcpBytes(c.local, c.remote, tcp.Segment{Flags: ack, Seq: c.snd, Ack: c.rcv, Window: 1000, Payload: data})
	whole := l.ip6(header.IPv6Fields{NextHeader: header.ProtoTCP, HopLimit: 64, Src: mapped(c.local.Addr()).As16(), Dst: mapped(c.remote.Addr()).As16()}, body)
	pool := mustPool(nic.PoolConfig{})
	p, rest := pool.Get(), pool.Get()
	copy(p.Extend(len(whole)-100), whole)
	copy(rest.Extend(100), whole[len(whole)-100:])
	p.Append(rest)
	p.Checksum = nic.ChecksumVerified
	q := l.iface.queues[0]
	q.mu.Lock()
	q.receive(p, l.now)
	q.endRun(l.now)
	q.mu.Unlock()
	require.Zero(t, c.conn.Info().Received)
	require.EqualValues(t, 1, l.drops(DropMartian))
	require.Zero(t, pool.InUse())
}
