package nic

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func newPool(t *testing.T, cfg PoolConfig) *Pool {
	t.Helper()
	l, err := NewPool(cfg)
	require.NoError(t, err)
	return l
}

func TestPacketGrowsAndShrinksAtBothEnds(t *testing.T) {
	p := newPool(t, PoolConfig{BufferSize: 256, Headroom: 32}).Get()
	require.Equal(t, 32, p.Headroom())
	require.Equal(t, 224, p.Tailroom())
	copy(p.Extend(5), "world")
	copy(p.Prepend(6), "hello ")
	require.Equal(t, "hello world", string(p.Bytes()))
	require.Equal(t, 26, p.Headroom())
	require.Equal(t, 219, p.Tailroom())
	p.TrimFront(2)
	p.Trim(7)
	require.Equal(t, "llo wor", string(p.Bytes()))
	p.Trim(100)
	p.Trim(-1)
	p.TrimFront(-1)
	require.Equal(t, 7, p.Len())
	p.TrimFront(100)
	require.Zero(t, p.Len())
	p.Release()
}

func TestPacketRefusesWhatDoesNotFit(t *testing.T) {
	p := newPool(t, PoolConfig{BufferSize: 256, Headroom: 32}).Get()
	require.Nil(t, p.Prepend(33))
	require.Nil(t, p.Prepend(-1))
	require.Nil(t, p.Extend(225))
	require.Nil(t, p.Extend(-1))
	require.Nil(t, p.Extend(math.MaxInt))
	require.Zero(t, p.Len())
	for _, r := range [][2]int{{-1, 1}, {0, -1}, {0, 257}, {257, 0}, {1, math.MaxInt}, {math.MaxInt, 1}} {
		require.False(t, p.SetRange(r[0], r[1]), r)
	}
	require.True(t, p.SetRange(256, 0))
	require.True(t, p.SetRange(10, 20))
	require.Equal(t, 10, p.Headroom())
	require.Equal(t, 20, p.Len())
}

func TestChainIsOneFrame(t *testing.T) {
	l := newPool(t, PoolConfig{BufferSize: 100, Headroom: 20, Max: 8})
	p := l.GetChain(200)
	require.Equal(t, 3, l.InUse())
	text := []byte("the quick brown fox jumps over the lazy dog")
	rest := text
	for part, n := p, 7; part != nil; part, n = part.Next(), n+12 {
		n = min(n, len(rest))
		copy(part.Extend(n), rest[:n])
		rest = rest[n:]
	}
	p.Append(l.Get())
	require.Empty(t, rest[min(len(rest), 38):])
	want := text[:p.FrameLen()]
	require.Equal(t, 400, p.BufferSize())
	for off := range p.FrameLen() + 2 {
		got := make([]byte, 100)
		n := p.CopyTo(got, off)
		require.Equal(t, string(want[min(off, len(want)):]), string(got[:n]), off)
	}
	short := make([]byte, 10)
	require.Equal(t, 10, p.CopyTo(short, 3))
	require.Equal(t, string(want[3:13]), string(short))
	p.Retain()
	p.Release()
	require.Equal(t, 4, l.InUse())
	p.Release()
	require.Zero(t, l.InUse())
}

// TestCompleteChecksum compares with the sum taken the plain way, for frames
// in one part and in chains that are cut at every kind of place.
func TestCompleteChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	l := newPool(t, PoolConfig{BufferSize: 512, Headroom: 16})
	for range 500 {
		frame := make([]byte, 60+rng.IntN(300))
		for i := range frame {
			frame[i] = byte(rng.Uint32())
		}
		start := rng.IntN(40)
		field := start + rng.IntN(18)
		var p *Packet
		for rest := frame; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			q := l.Get()
			copy(q.Extend(n), rest[:n])
			rest = rest[n:]
			if p == nil {
				p = q
			} else {
				p.Append(q)
			}
		}
		p.Checksum, p.ChecksumStart, p.ChecksumOffset = ChecksumPartial, uint16(start), uint16(field-start)
		sum, offset, ok := p.CompleteChecksum()
		require.True(t, ok)
		require.Equal(t, field, offset)
		var plain uint32
		for i, b := range frame[start:] {
			if i%2 == 0 {
				plain += uint32(b) << 8
			} else {
				plain += uint32(b)
			}
		}
		for plain > 0xffff {
			plain = plain>>16 + plain&0xffff
		}
		want := ^uint16(plain)
		if want == 0 {
			want = 0xffff
		}
		require.Equal(t, want, sum)
		after := make([]byte, len(frame))
		p.CopyTo(after, 0)
		require.True(t, bytes.Equal(frame, after), "it changes nothing")
		p.Release()
	}
	require.Zero(t, l.InUse())
}

func TestCompleteChecksumNeverYieldsZero(t *testing.T) {
	p := newPool(t, PoolConfig{}).Get()
	binary.BigEndian.PutUint16(p.Extend(2), 0xffff)
	p.Checksum = ChecksumPartial
	sum, _, ok := p.CompleteChecksum()
	require.True(t, ok)
	require.EqualValues(t, 0xffff, sum, "0 would say that UDP has no checksum")
}

func TestCompleteChecksumRefusesOffsetsOutsideTheFrame(t *testing.T) {
	p := newPool(t, PoolConfig{}).Get()
	p.Extend(20)
	_, _, ok := p.CompleteChecksum()
	require.False(t, ok, "it is complete")
	p.Checksum = ChecksumPartial
	for _, at := range [][2]uint16{{19, 0}, {0, 19}, {20, 0}, {65535, 65535}, {3, 16}} {
		p.ChecksumStart, p.ChecksumOffset = at[0], at[1]
		_, _, ok = p.CompleteChecksum()
		require.False(t, ok, at)
	}
}
