package reassembly

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzArbitraryFragmentsStayWithinBounds adds the fragments that the input
// describes, five bytes each.
func FuzzArbitraryFragmentsStayWithinBounds(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 0, 0, 1, 0, 3, 0})
	f.Add([]byte{0x80, 0, 1, 2, 0, 0x80, 0, 1, 4, 0, 0x81, 255, 0, 9, 40})
	rng := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	cfg := Config{MaxBytes: 40000, MaxPairBytes: 20000, MaxDatagrams: 6, MaxFragments: 16}
	bytesOf := data(1 << 16)
	f.Fuzz(func(t *testing.T, in []byte) {
		table := New(cfg)
		now := time.Duration(0)
		for ; len(in) >= 5; in = in[5:] {
			key := key4
			if in[0]&0x80 != 0 {
				key = key6
			}
			key.ID, key.Proto = uint32(in[0]&3), in[0]>>2&1
			if in[0]&0x40 != 0 {
				key.Src, key.Dst = key.Dst, key.Src
			}
			frag := &Fragment{
				Key: key, Offset: int(in[1]) * 8, More: in[2]&1 != 0, ECN: in[2] >> 1,
				Header: bytesOf[:in[2]>>3], Payload: bytesOf[:int(in[3])*4+int(in[0]>>3&1)],
			}
			if in[4]&0xc0 == 0 {
				now += time.Duration(in[4]) * sec
			}
			d, status := table.Add(frag, now)
			require.NotZero(t, status)
			if status == Complete {
				require.LessOrEqual(t, len(d.Payload), maxDatagram)
				require.NotEmpty(t, d.Payload)
			}
			check(t, table, cfg)
			for _, e := range table.Advance(now, nil) {
				require.NotEmpty(t, e.Payload)
			}
			require.Greater(t, table.Next(), now)
		}
		table.Advance(Never, nil)
		require.Zero(t, table.Bytes())
		require.Zero(t, table.Len())
		require.Empty(t, table.pairs)
		require.Nil(t, table.all.head)
	})
}

// check compares the table's books with what it holds.
func check(t *testing.T, table *Table, cfg Config) {
	all, pairs, n := 0, map[*pair]int{}, 0
	for d := table.all.head; d != nil; d = d.links[ofAll].next {
		used := overhead + cap(d.buf) + len(d.header) + cap(d.pieces)*pieceSize
		require.Equal(t, used, d.charge)
		all += used
		pairs[d.pair] += used
		n++
		sum := 0
		for i, p := range d.pieces {
			require.Less(t, p.off, p.end)
			require.True(t, i == 0 || d.pieces[i-1].end <= p.off)
			sum += int(p.end - p.off)
		}
		require.Equal(t, len(d.buf), sum)
		require.LessOrEqual(t, len(d.pieces), cfg.MaxFragments)
	}
	require.Equal(t, n, len(table.byKey))
	require.Equal(t, all, table.bytes)
	for p, used := range pairs {
		require.Equal(t, used, p.bytes)
		require.LessOrEqual(t, used, cfg.MaxPairBytes)
	}
	require.Equal(t, len(pairs), len(table.pairs))
	require.LessOrEqual(t, all, cfg.MaxBytes)
	require.LessOrEqual(t, n, cfg.MaxDatagrams)
}

// FuzzShuffledFragmentsGiveTheDatagram cuts a datagram at places, in an order and
// with repetitions that a seed chooses.
func FuzzShuffledFragmentsGiveTheDatagram(f *testing.F) {
	f.Add([]byte("a datagram that is cut into a few fragments"), uint64(1), false)
	f.Add(data(5000), uint64(2), true)
	f.Add(data(60000), uint64(3), false)
	f.Fuzz(func(t *testing.T, whole []byte, seed uint64, v6 bool) {
		if len(whole) == 0 || len(whole) > 65000 {
			return
		}
		key, rng := key4, rand.New(rand.NewPCG(seed, 0))
		if v6 {
			key = key6
		}
		var fs []*Fragment
		largest := 8 + rng.IntN(len(whole)/8+1)
		for off := 0; off < len(whole); {
			end := min(len(whole), off+8*(1+rng.IntN(largest)))
			fs = append(fs, cut(key, whole, off, end))
			off = end
		}
		rng.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		table := New(Config{MaxFragments: 10000})
		for i, frag := range fs {
			if i > 0 && rng.IntN(3) == 0 {
				_, status := table.Add(fs[rng.IntN(i)], 0)
				require.Equal(t, Duplicate, status)
			}
			d, status := table.Add(frag, 0)
			if i < len(fs)-1 {
				require.Equal(t, Held, status)
				continue
			}
			require.Equal(t, Complete, status)
			require.True(t, bytes.Equal(whole, d.Payload))
			require.Equal(t, cut(key, whole, 0, len(whole)).Header, d.Header)
		}
		require.Zero(t, table.Bytes())
	})
}
