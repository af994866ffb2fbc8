package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/route"
)

// A handshake whose last ACK is worked off while there is no way back to the peer,
// as while a link goes down and comes back, is completed by what the peer sends
// again. For the peer the connection is established: a RST would end it.
func TestTheLastACKComesWhileThereIsNoWayBack(t *testing.T) {
	for _, kept := range []bool{true, false} { // on the SYN queue, or in a cookie
		for _, ends := range []struct{ from, to, subnet string }{
			{"10.0.0.2:7", "10.0.0.1:80", "10.0.0.0/24"},
			{"[fd00::2]:7", "[fd00::1]:80", "fd00::/64"},
		} {
			for _, way := range []struct {
				what       string
				away, back func(*lab)
			}{
				{"the routes",
					func(l *lab) { require.NoError(l, l.iface.SetRoutes(nil)) },
					func(l *lab) {
						require.NoError(l, l.iface.SetRoutes([]route.Route{{Prefix: netip.MustParsePrefix(ends.subnet)}}))
					}},
				{"the addresses",
					func(l *lab) { require.NoError(l, l.iface.SetAddrs(nil)) },
					func(l *lab) {
						require.NoError(l, l.iface.SetAddrs([]netip.Prefix{netip.PrefixFrom(ip4Host, 24), netip.PrefixFrom(ip6Host, 64)}))
					}},
			} {
				cfg, what := Config{}, way.what+", SYN queue, "+ends.to
				if !kept {
					cfg, what = Config{MaxHalfOpen: -1}, way.what+", cookie, "+ends.to
				}
				l := newLabWith(t, wire.Config{}, cfg)
				ln, err := l.host.ListenTCP(addrPort("[::]:80"), ListenOptions{})
				require.NoError(t, err)
				c := l.begin(addrPort(ends.from), addrPort(ends.to))
				way.away(l)
				c.send(ack, "")
				c.send(psh|ack, "hello")
				c.snd -= 5
				l.quiet()
				require.EqualValues(t, 2, l.drops(DropNoRoute)+l.drops(DropNotLocal), what)
				_, err = ln.TryAccept()
				require.Equal(t, ErrWouldBlock, err, what)
				way.back(l)
				c.send(psh|ack, "hello")
				c.expect(ack, "")
				conn, err := ln.TryAccept()
				require.NoError(t, err, what)
				got, _ := readAll(conn)
				require.Equal(t, "hello", got, what)
				st := l.host.Stats().TCP
				require.Zero(t, st.ResetsSent, what)
				require.Zero(t, st.HalfOpen, what)
				conn.SetLinger(0)
				conn.Close()
			}
		}
	}
}

// A peer that waits for the server's word has nothing to send again: it is asked by
// the SYN-ACK, which goes again as soon as there is a way.
func TestTheSYNACKAsksForTheLastACK(t *testing.T) {
	l := newLab(t, wire.Config{})
	ln := l.listen("10.0.0.1:80")
	c := l.begin(addrPort("10.0.0.2:7"), ln.Addr())
	require.NoError(t, l.iface.SetRoutes(nil))
	c.send(ack, "")
	l.sleep(1100 * time.Millisecond)
	l.quiet()
	require.NoError(t, l.iface.SetRoutes([]route.Route{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}))
	l.sleep(2 * time.Second)
	require.Equal(t, syn|ack, l.one().Flags())
	c.send(ack, "")
	l.quiet()
	conn, err := ln.TryAccept()
	require.NoError(t, err)
	conn.SetLinger(0)
	conn.Close()
}
