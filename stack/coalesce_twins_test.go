package stack

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// twins are two hosts that are given the same frames at the same times, of which
// the second takes each segment for itself. They must not differ.
type twins struct {
	*testing.T
	labs        [2]*lab
	conns       [2]*TCPConn
	from, to    netip.AddrPort
	snd, rcv    tcp.Seq
	stamps      bool
	stamp, echo uint32
	window      uint16
	buf         [2][]byte
	got         int // octets read
}

func newTwins(t *testing.T, v6, stamps bool) *twins {
	w := &twins{T: t, from: addrPort("10.0.0.2:5000"), to: addrPort("10.0.0.1:80"), stamps: stamps, stamp: 1 << 31, window: 60000}
	if v6 {
		w.from, w.to = addrPort("[fd00::2]:5000"), addrPort("[fd00::1]:80")
	}
	start := w.snd
	for i := range w.labs {
		l := newLab(t, wire.Config{})
		w.labs[i] = l
		l.iface.queues[0].apart = i == 1
		ln := l.listen(w.to.String())
		w.snd = start
		opts := header.TCPOptions{MSS: 1400, WScale: 2, SACKPermitted: true, Timestamps: stamps, TSVal: w.stamp}
		l.inject(l.segment(w.from, w.to, tcp.Segment{Flags: syn, Seq: w.snd, Window: 60000, Options: opts}))
		f := l.one()
		w.snd++
		w.rcv, w.echo = tcp.Seq(f.Seq())+1, f.opts.TSVal
		l.inject(l.segment(w.from, w.to, w.seg(ack, nil)))
		l.quiet()
		var err error
		w.conns[i], err = ln.TryAccept()
		require.NoError(t, err)
		w.buf[i] = make([]byte, 1<<16)
	}
	return w
}

// seg is the next segment of the peer's.
func (w *twins) seg(flags header.TCPFlags, data []byte) tcp.Segment {
	s := tcp.Segment{Seq: w.snd, Ack: w.rcv, Flags: flags, Window: w.window, Payload: data}
	s.Options.Reset()
	if w.stamps {
		s.Options.Timestamps, s.Options.TSVal, s.Options.TSEcr = true, w.stamp, w.echo
	}
	return s
}

// octets are those of the stream from seq on.
func octets(seq tcp.Seq, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		s := uint32(seq) + uint32(i)
		b[i] = byte(s ^ s>>8 ^ s>>16)
	}
	return b
}

// data makes the frame of the next n octets.
func (w *twins) data(n int) []byte {
	b := w.labs[0].segment(w.from, w.to, w.seg(ack, octets(w.snd, n)))
	w.snd += tcp.Seq(n)
	return b
}

// inject gives both hosts a burst of frames.
func (w *twins) inject(frames ...[]byte) {
	w.Helper()
	for _, l := range w.labs {
		for _, b := range frames {
			l.inject(b)
		}
	}
}

// compare lets both hosts work and checks that they have done the same.
func (w *twins) compare() {
	w.Helper()
	a, b := w.labs[0].take(), w.labs[1].take()
	require.Equal(w, len(b), len(a), "frames sent")
	for i := range a {
		if string(b[i].bytes) != string(a[i].bytes) {
			require.FailNow(w, "frames differ", "%d: %v, alone %v", i, a[i].summary(), b[i].summary())
		}
		if a[i].proto == header.ProtoTCP {
			w.rcv = max(w.rcv, tcp.Seq(a[i].Seq())+tcp.Seq(len(a[i].data)))
		}
	}
	ia, ib := w.conns[0].Info(), w.conns[1].Info()
	require.Equal(w, ib, ia)
	for d := range numDrops {
		require.Equal(w, w.labs[1].drops(d), w.labs[0].drops(d), d.String())
	}
}

// summary is a frame in short.
func (f *frame) summary() string {
	if f.proto != header.ProtoTCP {
		return fmt.Sprint(f.typ, f.proto, len(f.bytes))
	}
	return fmt.Sprintf("%v seq %d ack %d window %d options %v octets %d", f.Flags(), f.Seq(), f.Ack(), f.Window(), f.opts, len(f.data))
}

// read has both applications read.
func (w *twins) read(most int) {
	w.Helper()
	n, err := w.conns[0].TryRead(w.buf[0][:most])
	k, err2 := w.conns[1].TryRead(w.buf[1][:most])
	require.Equal(w, err2, err)
	require.Equal(w, string(w.buf[1][:k]), string(w.buf[0][:n]))
	if n > 0 {
		require.Equal(w, string(octets(tcp.Seq(1+w.got), n)), string(w.buf[0][:n]))
		w.got += n
	}
	w.compare()
}

func (w *twins) coalesced() int { return int(w.labs[0].host.Stats().TCP.Coalesced) }

// changed changes the packet of a frame and makes its checksums right again.
func changed(b []byte, change func(ip, t []byte)) []byte {
	b = append([]byte(nil), b...)
	ip := b[header.EthernetLen:]
	n := header.IPv4MinLen
	if ip[0]>>4 == 6 {
		n = header.IPv6Len
	}
	t := ip[n:]
	change(ip, t)
	var sum uint16
	if n == header.IPv4MinLen {
		header.IPv4(ip[:n]).UpdateChecksum()
		sum = header.IPv4(ip[:n]).PseudoSum(len(t))
	} else {
		sum = header.IPv6(ip[:n]).PseudoSum(header.ProtoTCP, len(t))
	}
	header.TCP(t).SetChecksum(0)
	header.TCP(t).SetChecksum(^header.Checksum(t, sum))
	return b
}
