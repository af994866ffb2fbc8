package stack

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// newSharedLab is a lab whose host has its addresses together with somebody else.
// ended gets the remote ends that FlowEnded is told of, if waited is set.
func newSharedLab(t *testing.T) (l *lab, ended *[]netip.AddrPort) {
	ended = new([]netip.AddrPort)
	l = newLabWith(t, wire.Config{}, Config{FlowEnded: func(_, remote netip.AddrPort, waited bool) {
		if waited {
			*ended = append(*ended, remote)
		}
	}})
	l.iface.failed = func(error) {}
	return l, ended
}

// A SYN that nobody takes may be for who has the addresses too: he gets it when it is
// sent again. Anything else is of a connection that is not there.
func TestASharedInterfaceRefusesNoSYN(t *testing.T) {
	l, ended := newSharedLab(t)
	peer, port := addrPort("10.0.0.2:7"), addrPort("10.0.0.1:80")
	l.inject(l.segment(peer, port, tcp.Segment{Flags: syn, Seq: 1, Window: 1000}))
	l.quiet()
	require.EqualValues(t, 1, l.drops(DropNoPort))
	require.Equal(t, []netip.AddrPort{peer}, *ended, "nothing of before is on the way")
	for _, flags := range []tcp.Segment{{Flags: ack, Seq: 1, Ack: 5}, {Flags: syn | ack, Seq: 1, Ack: 5}, {Flags: fin, Seq: 1}} {
		l.inject(l.segment(peer, port, flags))
		require.NotZero(t, l.one().Flags()&rst, "%v", flags.Flags)
	}
	require.Len(t, *ended, 1)
}

// The port of a connection in TIME-WAIT is used again, and who listened here listens no
// more: the record goes, so that whoever listens elsewhere is found.
func TestASYNEndsTimeWaitWhereNobodyListensAnyMore(t *testing.T) {
	for _, how := range []func(*TCPListener){
		func(ln *TCPListener) { require.NoError(t, ln.Close()) },
		(*TCPListener).Drain,
	} {
		l, ended := newSharedLab(t)
		peer := addrPort("10.0.0.2:7")
		ln := l.listen("10.0.0.1:80")
		c := l.accept(ln, peer)
		require.NoError(t, c.conn.Close())
		c.advance(c.expect(fin|ack, ""))
		c.send(fin|ack, "")
		l.take()
		how(ln)
		require.True(t, l.host.HasTCPFlow(ln.Addr(), peer))
		l.inject(l.segment(peer, ln.Addr(), tcp.Segment{Flags: syn, Seq: c.snd + 1000, Window: 1000}))
		l.quiet()
		require.False(t, l.host.HasTCPFlow(ln.Addr(), peer))
		require.Equal(t, []netip.AddrPort{peer}, *ended)
	}
}

// A peer that has not got its SYN-ACK when a listener on a shared interface is closed is
// not refused: it asks again. Elsewhere it is told.
func TestHandshakesThatAListenerGivesUp(t *testing.T) {
	for _, shared := range []bool{true, false} {
		l, _ := newSharedLab(t)
		if !shared {
			l.iface.failed = nil
		}
		ln := l.listen("10.0.0.1:80")
		c := l.begin(addrPort("10.0.0.2:7"), ln.Addr())
		require.NoError(t, ln.Close())
		if !shared {
			require.NotZero(t, l.one().Flags()&rst)
		}
		l.quiet()
		require.False(t, l.host.HasTCPFlow(c.remote, c.local))
		l.inject(l.segment(c.local, c.remote, tcp.Segment{Flags: syn, Seq: c.snd - 1, Window: 1000}))
		if !shared {
			require.NotZero(t, l.one().Flags()&rst)
		}
		l.quiet()
	}
}

// When Drain has returned no handshake begins any more, not even that of a SYN which the
// poller was working off.
func TestNothingBeginsOnceAListenerIsDrained(t *testing.T) {
	for range 20 {
		l := newLab(t, wire.Config{})
		ln := l.listen("10.0.0.1:80")
		peer := addrPort("10.0.0.2:7")
		l.inject(l.segment(peer, ln.Addr(), tcp.Segment{Flags: syn, Seq: 1, Window: 1000}))
		s := &l.host.synq
		s.mu.Lock() // the poller gets as far as this
		var both sync.WaitGroup
		both.Go(func() {
			for l.host.count.synsIn.Load() == 0 {
				l.host.Poll()
			}
		})
		for l.host.count.synsIn.Load() == 0 {
			time.Sleep(time.Microsecond)
		}
		time.Sleep(100 * time.Microsecond)
		begun := make(chan bool, 1)
		both.Go(func() {
			ln.Drain()
			begun <- l.host.HasTCPFlow(ln.Addr(), peer)
		})
		time.Sleep(100 * time.Microsecond)
		s.mu.Unlock()
		both.Wait()
		require.Equal(t, <-begun, l.host.HasTCPFlow(ln.Addr(), peer))
		l.take()
		require.NoError(t, l.host.Close())
	}
}

// Until Accept would return it a connection is among those whose handshake is under way:
// whoever closes a listener when there are none of either resets nobody.
func TestAHandshakeIsCountedUntilItCanBeAccepted(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	const many = 300
	for i := range many {
		c := l.begin(netip.AddrPortFrom(ip4Peer, uint16(1000+i)), ln.Addr())
		stop, seen := make(chan struct{}), make(chan bool)
		go func() {
			missed := false
			for {
				_, pending := l.host.OpenConnections()
				missed = missed || pending+ln.Waiting() == i
				select {
				case <-stop:
					seen <- missed
					return
				default:
				}
			}
		}()
		c.send(ack, "")
		l.run()
		close(stop)
		require.False(t, <-seen, "it was neither")
		require.Equal(t, i+1, ln.Waiting())
	}
}
