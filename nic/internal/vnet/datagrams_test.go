package vnet

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

// udpFrame is a frame of n bytes of payload, behind IPv4 or IPv6.
func udpFrame(v6 bool, n int) (frame []byte, header [HeaderSize]byte) {
	start := 34
	if v6 {
		start = 54
	}
	frame = make([]byte, start+8+n)
	be := binary.BigEndian
	if v6 {
		be.PutUint16(frame[12:], 0x86dd)
		frame[14] = 0x60
		be.PutUint16(frame[18:], uint16(8+n))
		frame[20] = 17
	} else {
		be.PutUint16(frame[12:], 0x0800)
		frame[14], frame[23] = 0x45, 17
		be.PutUint16(frame[16:], uint16(28+n))
		be.PutUint16(frame[18:], 0xffff) // the identification wraps
	}
	be.PutUint16(frame[start:], 443)
	be.PutUint16(frame[start+4:], uint16(8+n))
	be.PutUint16(frame[start+6:], sum16([]byte{0, 17, byte((8 + n) >> 8), byte(8 + n)})) // the addresses are zero
	for i := range n {
		frame[start+8+i] = byte(i)
	}
	header = [HeaderSize]byte{needsCsum, gsoUDP}
	ne := binary.NativeEndian
	ne.PutUint16(header[6:], uint16(start))
	ne.PutUint16(header[8:], 6)
	ne.PutUint16(header[4:], 1000)
	return frame, header
}

func TestDatagramsAreCutAsOnAWire(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		frame, header := udpFrame(v6, 2500)
		pool, err := nic.NewPool(nic.PoolConfig{})
		require.NoError(t, err)
		p := pool.Get() // in two parts
		copy(p.Extend(1000), frame)
		rest := pool.Get()
		copy(rest.Extend(len(frame)-1000), frame[1000:])
		p.Append(rest)
		require.False(t, Parse(&header, p), "the metadata cannot say it")
		var d Datagrams
		require.True(t, d.Set(&header, p))
		start := int(binary.NativeEndian.Uint16(header[6:]))
		for i, n := range []int{1000, 1000, 500} {
			require.True(t, d.Any())
			c := pool.Get()
			require.True(t, d.Next(c))
			b := c.Bytes()
			require.Len(t, b, start+8+n)
			require.Equal(t, frame[start+8+i*1000:][:n], b[start+8:])
			be := binary.BigEndian
			require.EqualValues(t, 8+n, be.Uint16(b[start+4:]))
			if v6 {
				require.EqualValues(t, 8+n, be.Uint16(b[18:]))
			} else {
				require.EqualValues(t, 28+n, be.Uint16(b[16:]))
				require.EqualValues(t, uint16(0xffff+i), be.Uint16(b[18:]))
				require.EqualValues(t, 0xffff, sum16(b[14:34]))
			}
			require.Equal(t, sum16([]byte{0, 17, byte((8 + n) >> 8), byte(8 + n)}), be.Uint16(b[start+6:]))
			require.Equal(t, nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: uint16(start), ChecksumOffset: 6}, c.Meta)
			c.Release()
		}
		require.False(t, d.Any())
		require.Zero(t, pool.InUse())
	}
}

// FuzzDatagrams: whatever a frame says of itself, cutting ends, and nothing is
// read or left behind that is not there.
func FuzzDatagrams(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		frame, header := udpFrame(v6, 300)
		binary.NativeEndian.PutUint16(header[4:], 7)
		f.Add(header[:], frame)
	}
	f.Fuzz(func(t *testing.T, header, frame []byte) {
		if len(header) < HeaderSize || len(frame) > 1900 {
			return
		}
		pool, err := nic.NewPool(nic.PoolConfig{Max: 2})
		require.NoError(t, err)
		p := pool.Get()
		copy(p.Extend(len(frame)), frame)
		var d Datagrams
		if !d.Set((*[HeaderSize]byte)(header), p) {
			p.Release()
			require.Zero(t, pool.InUse())
			return
		}
		total := 0
		for d.Any() {
			start := d.start
			c := pool.Get()
			require.True(t, d.Next(c))
			total += c.Len() - start - 8
			c.Release()
		}
		require.Equal(t, len(frame)-int(binary.NativeEndian.Uint16(header[6:]))-8, total)
		require.Zero(t, pool.InUse())
	})
}
