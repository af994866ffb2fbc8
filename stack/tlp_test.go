package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// The end of what is written is lost, however much of it: it is there again within
// some round trips, and no retransmission timer was waited for.
func TestLostTailComesSoon(t *testing.T) {
	const delay = 10 * time.Millisecond // each way
	for name, c := range map[string]struct {
		size, lost int           // bytes, segments of them
		more       time.Duration // than the probe waits: the way there, and what comes before and after
	}{
		"a lone small segment": {500, 1, delay},
		"the last of ten":      {14000, 1, 3 * delay},
		"the last three":       {14000, 3, 5 * delay},
		"all of five":          {7000, 5, 5 * delay},
	} {
		for _, noSACK := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				skip, lose := 0, 0
				path := fault.Faults{Delay: delay, LoseIf: func(p *nic.Packet) bool {
					switch {
					case p.FrameLen() < 200 || lose == 0: // an ACK
						return false
					case skip > 0:
						skip--
						return false
					}
					lose--
					return true
				}}
				d := newPathDuo(t, wire.Config{}, path, [2]Config{{TCP: TCPDefaults{NoSACK: noSACK}}})
				ln, err := d.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
				require.NoError(t, err)
				client, err := d.b.StartDialTCP(netip.AddrPort{}, ln.Addr(), TCPOptions{})
				require.NoError(t, err)
				d.sleep(100 * time.Millisecond)
				server, err := ln.TryAccept()
				require.NoError(t, err)
				data, buf := pattern(c.size), make([]byte, 1<<20)
				carry := func() time.Duration {
					start := d.now
					n, err := client.TryWrite(data)
					require.NoError(t, err)
					require.Equal(t, c.size, n)
					for got := 0; got < c.size; {
						k, _ := server.TryRead(buf)
						require.Equal(t, data[got:got+k], buf[:k])
						if got += k; k == 0 {
							d.sleep(time.Millisecond)
						}
						require.Less(t, d.now-start, 10*time.Second)
					}
					took := d.now - start
					d.sleep(time.Second)
					return took
				}
				for range 5 {
					carry()
				}
				segments := (c.size + 1447) / 1448
				skip, lose = segments-c.lost, c.lost
				info := client.Info()
				wait := max(2*info.RTT, info.RTT+4*info.RTTVar)
				if c.lost == 1 {
					wait += 50 * time.Millisecond // it may be that the peer waits with its ACK
				}
				took := carry()
				require.Zero(t, lose)
				if noSACK {
					require.Greater(t, took, 200*time.Millisecond, "the retransmission timer's: else this test shows nothing")
				} else {
					require.Less(t, took, wait+c.more+5*time.Millisecond)
					require.Less(t, took, info.RTO)
					require.Zero(t, client.Info().Timeouts)
					require.EqualValues(t, 1, client.Info().LossProbes)
				}
				client.SetLinger(0)
				client.Close()
				server.Close()
			})
		}
	}
}
