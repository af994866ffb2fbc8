package fastnet

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/fault"
)

// longLink has a round trip of 100 ms, in virtual time: what is written in no time
// is written before anything is acknowledged.
var longLink = &fault.Faults{Delay: 50 * time.Millisecond}

// segmentCounter is a device that counts the TCP segments it is given to send over
// IPv4: those that have data.
type segmentCounter struct {
	nic.Device
	sent atomic.Int64
}

func (d *segmentCounter) Queues() []nic.Queue {
	all := slices.Clone(d.Device.Queues())
	for i, q := range all {
		all[i] = segmentQueue{q, d}
	}
	return all
}

type segmentQueue struct {
	nic.Queue
	device *segmentCounter
}

func (q segmentQueue) Send(pkts []*nic.Packet) int {
	sizes := make([]int, len(pkts))
	for i, p := range pkts {
		sizes[i] = segmentLen(p.Bytes())
	}
	n := q.Queue.Send(pkts)
	for _, size := range sizes[:n] {
		if size > 0 {
			q.device.sent.Add(1)
		}
	}
	return n
}

// segmentLen is the length of a segment's data, 0 of anything else.
func segmentLen(frame []byte) int {
	ip := frame[14:]
	if binary.BigEndian.Uint16(frame[12:]) != 0x0800 || ip[9] != 6 {
		return 0
	}
	header := int(ip[0]&15) * 4
	return int(binary.BigEndian.Uint16(ip[2:])) - header - int(ip[header+12]>>4)*4
}

// counted runs f in virtual time over a long link: segments is how many segments
// the client sends while g runs, and until they are acknowledged.
func counted(t *testing.T, f func(t *testing.T, c *TCPConn, segments func(g func()) int)) {
	var d segmentCounter
	virtualWith(t, longLink, func(c *Config) {
		if c.Name == "host0" {
			d.Device = c.Device
			c.Device = &d
		}
	}, func(t *testing.T, l *lab) {
		c, s := l.connect(t, "tcp", serverIP+":0")
		go io.Copy(io.Discard, s)
		f(t, c, func(g func()) int {
			before := d.sent.Load()
			g()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			return int(d.sent.Load() - before)
		})
	})
}

// TestBuffersBecomeOneRunOfSegments: as many as one Write of all the bytes makes.
func TestBuffersBecomeOneRunOfSegments(t *testing.T) {
	counted(t, func(t *testing.T, c *TCPConn, segments func(func()) int) {
		slices := func() (v Buffers) {
			for range 500 {
				v = append(v, []byte("0123456789"))
			}
			return v
		}
		require.Equal(t, 4, segments(func() {
			v := slices()
			n, err := v.WriteTo(c)
			require.NoError(t, err)
			require.EqualValues(t, 5000, n)
		}), "5,000 bytes, of which 1,448 fit a segment")
		require.Equal(t, 4, segments(func() {
			_, err := c.Write(bytes.Repeat([]byte("x"), 5000))
			require.NoError(t, err)
		}))
	})
}

// TestNagleHoldsSmallSegmentsBack: with it only the first of many small writes
// goes before an acknowledgement (RFC 9293 section 3.7.4).
func TestNagleHoldsSmallSegmentsBack(t *testing.T) {
	counted(t, func(t *testing.T, c *TCPConn, segments func(func()) int) {
		write := func(n int) func() {
			return func() {
				for range n {
					_, err := c.Write([]byte("x"))
					require.NoError(t, err)
				}
			}
		}
		require.Equal(t, 8, segments(write(8)), "off, as in package net")
		require.NoError(t, c.SetNoDelay(false))
		require.Equal(t, 2, segments(write(100)))
		require.Equal(t, 2, segments(func() {
			write(100)()
			require.NoError(t, c.SetNoDelay(true)) // lets go what waited
		}))
		require.Equal(t, 8, segments(write(8)))
	})
}

// TestBufferSizesBoundWhatIsUnderWay: with nobody reading a Write takes what the
// two buffers hold.
func TestBufferSizesBoundWhatIsUnderWay(t *testing.T) {
	virtual(t, longLink, func(t *testing.T, l *lab) {
		for _, size := range []int{8 << 10, 64 << 10, 256 << 10} {
			c, s := l.connect(t, "tcp", serverIP+":0")
			require.NoError(t, s.SetReadBuffer(size))
			require.NoError(t, c.SetWriteBuffer(size))
			// What was offered at first is not taken back, so it is used up.
			offered := c.Stack().Info().SndWnd
			go c.Write(make([]byte, 4<<20))
			time.Sleep(time.Minute)
			in, out := s.Stack().Info(), c.Stack().Info()
			require.LessOrEqual(t, in.Received, max(size, offered)+1448) // the window is rounded up
			require.GreaterOrEqual(t, in.Received, size*3/4)
			require.LessOrEqual(t, out.InFlight+out.Unsent, size+1)
			require.GreaterOrEqual(t, out.InFlight+out.Unsent, size/2)
			c.SetWriteDeadline(past)
		}
	})
}
