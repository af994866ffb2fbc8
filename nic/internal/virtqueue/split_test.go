package virtqueue

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// device is the other side, as section 2.7 describes it.
type device struct {
	s          *Split
	seen, used uint16
}

var le = binary.LittleEndian

// take returns the next chain that is offered: its head and buffers.
func (d *device) take() (head uint16, bufs []Buffer, write bool, ok bool) {
	if uint16(atomic.LoadUint32(word(d.s.avail))>>16) == d.seen {
		return 0, nil, false, false
	}
	head = le.Uint16(d.s.avail[ringHeader+2*int(d.seen%d.s.size):])
	d.seen++
	for at := head; ; {
		b := d.s.desc[int(at)*descriptorSize:]
		bufs = append(bufs, Buffer{le.Uint64(b), le.Uint32(b[8:])})
		flags := le.Uint16(b[12:])
		write = flags&flagWrite != 0
		if flags&flagNext == 0 {
			return head, bufs, write, true
		}
		at = le.Uint16(b[14:])
	}
}

// give says that a chain was used.
func (d *device) give(head uint32, length uint32) {
	e := d.s.used[ringHeader+usedSize*int(d.used%d.s.size):]
	le.PutUint32(e, head)
	le.PutUint32(e[4:], length)
	d.used++
	atomic.StoreUint32(word(d.s.used), atomic.LoadUint32(word(d.s.used))&0xffff|uint32(d.used)<<16)
}

func (d *device) flags(f uint32) {
	atomic.StoreUint32(word(d.s.used), atomic.LoadUint32(word(d.s.used))&^0xffff|f)
}

func newSplit(t testing.TB, size int) (*Split, *device) {
	t.Helper()
	s, err := New(size)
	require.NoError(t, err)
	return s, &device{s: s}
}

func TestChainsGoToTheDeviceAndBack(t *testing.T) {
	s, d := newSplit(t, 4)
	head := s.Add([]Buffer{{0x1000, 10}, {0x2000, 20}}, false)
	_, _, _, ok := d.take()
	require.False(t, ok, "not published")
	s.Publish()
	got, bufs, write, ok := d.take()
	require.True(t, ok)
	require.EqualValues(t, head, got)
	require.Equal(t, []Buffer{{0x1000, 10}, {0x2000, 20}}, bufs)
	require.False(t, write)
	require.Equal(t, 2, s.Room())

	in := s.Add([]Buffer{{0x3000, 30}}, true)
	require.Equal(t, -1, s.Add([]Buffer{{1, 1}, {2, 2}}, false), "one descriptor is left")
	s.Publish()
	_, _, write, _ = d.take()
	require.True(t, write)

	_, _, ok = s.Used()
	require.False(t, ok)
	d.give(uint32(in), 25) // out of order
	d.give(uint32(head), 0)
	require.Equal(t, 2, s.Pending())
	back, length, ok := s.Used()
	require.True(t, ok)
	require.Equal(t, in, back)
	require.EqualValues(t, 25, length)
	back, _, ok = s.Used()
	require.True(t, ok)
	require.Equal(t, head, back)
	require.Equal(t, 4, s.Room())
	require.Equal(t, -1, s.Add(nil, false))
}

func TestEachSideSaysWhetherItWantsToBeTold(t *testing.T) {
	s, d := newSplit(t, 2)
	require.True(t, s.Notify())
	d.flags(noNotify)
	require.False(t, s.Notify())
	s.Interrupts(false)
	require.EqualValues(t, noInterrupt, atomic.LoadUint32(word(s.avail))&0xffff)
	s.Add([]Buffer{{1, 1}}, true)
	s.Interrupts(true)
	require.Zero(t, atomic.LoadUint32(word(s.avail))&0xffff)
	_, _, _, ok := d.take()
	require.True(t, ok, "what was added is kept")
	d.give(0, 0)
	require.False(t, s.Notify())
	require.Equal(t, 1, s.Pending())
}

func TestDeviceThatBreaksTheRulesIsNotBelieved(t *testing.T) {
	for name, misdeed := range map[string]func(d *device){
		"a head that there is not":    func(d *device) { d.give(9, 0) },
		"a head that was not given":   func(d *device) { d.give(3, 0) },
		"a head twice":                func(d *device) { d.give(0, 0); d.give(0, 0) },
		"the middle of a chain":       func(d *device) { d.give(1, 0) },
		"more than there can be":      func(d *device) { d.used += 5; d.give(0, 0) },
		"an index that goes backward": func(d *device) { d.used -= 2; d.give(0, 0) },
	} {
		s, d := newSplit(t, 4)
		s.Add([]Buffer{{1, 1}, {2, 2}}, false)
		s.Publish()
		misdeed(d)
		for range 10 {
			s.Used()
		}
		_, _, ok := s.Used()
		require.False(t, ok, name)
		require.Error(t, s.Err(), name)
	}
	_, err := New(3)
	require.Error(t, err)
	_, err = New(65536)
	require.Error(t, err)
}

// TestBothSidesAtOnce: chains of all lengths, used in any order, many times round
// the rings. The race detector is the judge of who may read what.
func TestBothSidesAtOnce(t *testing.T) {
	const total = 5000
	s, d := newSplit(t, 16)
	go func() {
		rng := rand.New(rand.NewPCG(1, 2))
		type work struct {
			head uint16
			sum  uint32
		}
		var held []work
		for done := 0; done < total; {
			if head, bufs, _, ok := d.take(); ok {
				w := work{head: head}
				for _, b := range bufs {
					w.sum += b.Len
				}
				held = append(held, w)
			} else {
				runtime.Gosched()
			}
			for len(held) > 0 && rng.IntN(3) > 0 {
				i := rng.IntN(len(held))
				d.give(uint32(held[i].head), held[i].sum)
				held = append(held[:i], held[i+1:]...)
				done++
			}
		}
	}()
	rng := rand.New(rand.NewPCG(3, 4))
	want := map[int]uint32{}
	sent, back := 0, 0
	for end := time.Now().Add(60 * time.Second); back < total; {
		require.True(t, time.Now().Before(end), "%d sent, %d back", sent, back)
		for sent < total {
			bufs := make([]Buffer, 1+rng.IntN(4))
			sum := uint32(0)
			for i := range bufs {
				bufs[i].Len = rng.Uint32N(1000)
				sum += bufs[i].Len
			}
			head := s.Add(bufs, false)
			if head < 0 {
				break
			}
			require.NotContains(t, want, head)
			want[head] = sum
			sent++
		}
		s.Publish()
		runtime.Gosched() // there may be one processor
		for {
			head, length, ok := s.Used()
			if !ok {
				break
			}
			require.Equal(t, want[head], length)
			delete(want, head)
			back++
		}
	}
	require.NoError(t, s.Err())
	require.Equal(t, 16, s.Room())
}

// FuzzUsed: whatever a device writes into the used ring, no head comes back that
// is not out.
func FuzzUsed(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 1, 1, 9, 3, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		s, d := newSplit(t, 8)
		out := map[int]bool{}
		for i := 0; i+1 < len(script); i += 2 {
			switch op, v := script[i]%4, script[i+1]; op {
			case 0:
				if head := s.Add(make([]Buffer, 1+v%3), v&1 == 0); head >= 0 {
					require.False(t, out[head])
					out[head] = true
				}
				s.Publish()
			case 1:
				d.give(uint32(v%10), uint32(v))
			case 2:
				d.used += uint16(v % 3)
			case 3:
				if head, _, ok := s.Used(); ok {
					require.True(t, out[head])
					delete(out, head)
				}
			}
		}
		require.LessOrEqual(t, s.Room(), 8)
	})
}
