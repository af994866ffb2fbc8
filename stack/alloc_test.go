package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// Nothing is allocated for a packet, nor for the deadlines that net/http sets on
// each request.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	check := func(name string, f func()) {
		t.Helper()
		for range 300 { // buffers and slots are taken once
			f()
		}
		require.Zero(t, testing.AllocsPerRun(300, f), name)
	}
	for name, cfg := range map[string]wire.Config{"plain": {}, "TSO": {TSO: true}} {
		d := newDuo(t, cfg, Config{})
		for _, at := range []string{"10.0.0.1:80", "[fd00::1]:80"} {
			s, c := d.connect(d.listen(at), TCPOptions{})
			msg, buf := pattern(100), make([]byte, 200_000)
			check(name+": ping "+at, func() {
				c.TryWrite(msg)
				d.run()
				s.TryRead(buf)
				s.TryWrite(msg)
				d.run()
				if n, _ := c.TryRead(buf); n != len(msg) {
					t.Fatal(n)
				}
				d.now += 100 * time.Microsecond
			})
			big := pattern(100_000)
			check(name+": bulk "+at, func() {
				c.TryWrite(big)
				d.run()
				s.TryRead(buf)
				d.run()
				d.now += time.Millisecond
			})
			check(name+": deadlines "+at, func() {
				s.SetReadDeadline(time.Unix(1, 0))
				s.SetReadDeadline(time.Time{})
				s.SetWriteDeadline(time.Unix(1, 0))
				s.SetWriteDeadline(time.Time{})
				s.SetDeadline(time.Now().Add(time.Hour))
			})
		}
		a, err := d.a.ListenUDP(addrPort("[::]:53"), UDPOptions{})
		require.NoError(t, err)
		b, err := d.b.ListenUDP(addrPort("[::]:53"), UDPOptions{})
		require.NoError(t, err)
		conn, err := d.b.DialUDP(addrPort("10.0.0.2:54"), addrPort("10.0.0.1:53"), UDPOptions{})
		require.NoError(t, err)
		msg, buf := pattern(1000), make([]byte, 2000)
		for _, to := range []string{"10.0.0.1:53", "[fd00::1]:53"} {
			check(name+": datagrams to "+to, func() {
				b.WriteTo(msg, addrPort(to))
				d.run()
				_, _, from, err := a.TryReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				a.WriteTo(msg, from)
				d.run()
				b.TryReadFrom(buf)
				a.SetReadDeadline(time.Unix(1, 0))
				a.SetReadDeadline(time.Time{})
			})
		}
		check(name+": datagrams, connected", func() {
			conn.Write(msg)
			d.run()
			a.TryReadFrom(buf)
		})
	}
}
