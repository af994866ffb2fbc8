package stack

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// tagged puts a VLAN tag with a priority into a frame.
func tagged(frame []byte, vlan byte) []byte {
	return append(append(append([]byte{}, frame[:12]...), 0x81, 0, 0xa0, vlan), frame[12:]...)
}

// A frame with a priority and no VLAN is taken as if it had no tag, in the middle
// of others without one, too.
func TestPriorityTagsChangeNothing(t *testing.T) {
	for _, from := range []string{"10.0.0.2:5000", "[fd00::2]:5000"} {
		l := newLab(t, wire.Config{})
		ln := l.listen("[::]:80")
		c := l.accept(ln, addrPort(from))
		segment := func(data string) []byte {
			b := c.segment(c.local, c.remote, tcp.Segment{Seq: c.snd, Ack: c.rcv, Flags: ack, Window: c.window, Payload: []byte(data)})
			c.snd += tcp.Seq(len(data))
			return b
		}
		for _, frame := range [][]byte{
			segment("one "), tagged(segment("two "), 0), tagged(segment("three "), 0), segment("four "), segment("five "), tagged(segment("six"), 0),
		} {
			l.inject(frame)
		}
		l.run()
		b := make([]byte, 100)
		n, err := c.conn.TryRead(b)
		require.NoError(t, err)
		require.Equal(t, "one two three four five six", string(b[:n]))
		l.frames = nil

		ip := netip.MustParseAddrPort(from).Addr()
		if ip.Is4() {
			l.mute = true
			l.inject(tagged(l.arp(header.ARPRequest, l.peer, ip, [6]byte{}, ip4Host), 0))
			require.EqualValues(t, header.TypeARP, l.one().typ)
		}
		require.Zero(t, l.drops(DropEtherType))
		l.close()
	}
}

// Other tags are not for this host, whatever is in them.
func TestOtherTagsAreDropped(t *testing.T) {
	l := newLab(t, wire.Config{})
	l.listen("[::]:80")
	frame := l.segment(addrPort("10.0.0.2:5000"), addrPort("10.0.0.1:80"), tcp.Segment{Flags: syn, Seq: 1})
	for i, b := range [][]byte{tagged(frame, 5), tagged(tagged(frame, 0), 0), tagged(frame, 0)[:17], tagged(frame, 0)[:14]} {
		l.inject(b)
		l.quiet()
		require.EqualValues(t, i+1, l.drops(DropEtherType))
	}
	l.close()
}
