package stack

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

// script has the twins go through what the bytes say.
func (w *twins) script(script []byte) {
	old := [][]byte{w.data(100)}
	w.inject(old[0])
	for i := 0; i+2 < len(script) && i < 600; i += 3 {
		op, x := script[i], int(binary.LittleEndian.Uint16(script[i+1:]))
		var b []byte
		switch op % 16 {
		case 0, 1, 2, 3, 4, 5:
			size := []int{1000, 1000, 1000, 300, x % 1400, x % 50}[op%16]
			if w.labs[0].host.flows.len() == 0 {
				continue
			}
			for range 1 + int(op>>6) {
				b = w.data(size)
				old = append(old, b)
				w.inject(b)
			}
			continue
		case 6:
			b = old[x%len(old)] // again
		case 7: // lost for now
			old = append(old, w.data(x%1400))
			continue
		case 8:
			b = append([]byte(nil), w.data(x%1400)...)
			b[x%len(b)] ^= 1 << (op >> 5)
			w.snd -= tcp.Seq(x % 1400)
		case 9:
			w.stamp += uint32(x % 20)
			continue
		case 10:
			w.compare()
			w.read(1 + x)
			continue
		case 11:
			w.compare()
			n, err := w.conns[0].TryWrite(octets(1, x%20_000))
			k, err2 := w.conns[1].TryWrite(octets(1, x%20_000))
			require.Equal(w, err2, err)
			require.Equal(w, k, n)
			w.compare()
			continue
		case 12:
			w.compare()
			for _, l := range w.labs {
				l.now += time.Duration(x) * time.Microsecond
			}
			w.compare()
			continue
		case 13:
			w.window = uint16(x)
			continue
		case 14:
			b = changed(old[x%len(old)], func(_, t []byte) { t[13] ^= 1 << (op >> 5) })
		case 15:
			w.rcv += tcp.Seq(x % 3)
			w.rcv -= tcp.Seq(x / 3 % 3)
			continue
		}
		w.inject(b)
	}
	w.compare()
	// What is missing comes after all, and the streams are whole.
	for range 3 {
		for _, b := range old {
			w.inject(b)
			if len(b) > 300 {
				w.compare()
				w.read(1 << 15)
			}
		}
	}
	w.compare()
	for range 10 {
		w.read(1 << 16)
	}
}

// Whatever comes, in whatever bursts, coalescing changes neither the bytes nor
// what is sent.
func TestCoalescingChangesNothing(t *testing.T) {
	n := 60
	if testing.Short() || raceEnabled {
		n = 20
	}
	joined := 0
	for seed := range n {
		t.Run("", func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 77))
			w := newTwins(t, seed%2 == 0, seed%3 != 0)
			b := make([]byte, 600)
			for i := range b {
				b[i] = byte(rng.Uint32())
				if i%3 == 0 && rng.IntN(3) > 0 { // data, mostly
					b[i] = byte(rng.IntN(6)) | b[i]&0xc0
				}
			}
			w.script(b)
			joined += w.coalesced()
		})
	}
	require.Greater(t, joined, n)
}

func FuzzCoalescing(f *testing.F) {
	f.Add([]byte{0xc0, 0, 0, 0x80, 0, 0, 10, 255, 255, 7, 100, 0, 0, 0, 0, 6, 3, 0}, uint8(0))
	f.Add([]byte{0xc1, 0, 0, 9, 3, 0, 0xc1, 0, 0, 8, 60, 0, 11, 200, 0, 14, 2, 0}, uint8(1))
	f.Add([]byte{0xc1, 0, 0, 13, 200, 0, 0xc1, 0, 0, 12, 0, 255, 15, 1, 0, 4, 60, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, script []byte, kind uint8) {
		newTwins(t, kind&1 != 0, kind&2 != 0).script(script)
	})
}
