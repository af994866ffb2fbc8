package vnet

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func newPacket(t testing.TB, size int) *nic.Packet {
	t.Helper()
	pool, err := nic.NewPool(nic.PoolConfig{BufferSize: 4096, Max: 1})
	require.NoError(t, err)
	p := pool.Get()
	require.NotNil(t, p.Extend(size))
	return p
}

func TestHeaderCarriesTheMetadata(t *testing.T) {
	for _, m := range []nic.Meta{
		{},
		{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 16},
		{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 6},
		{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 16, Segment: nic.SegmentTCPv4, SegmentSize: 1448, HeaderLen: 66},
		{Checksum: nic.ChecksumPartial, ChecksumStart: 54, ChecksumOffset: 16, Segment: nic.SegmentTCPv6, SegmentSize: 1428, HeaderLen: 86},
	} {
		p := newPacket(t, 3000)
		if m.HeaderLen > 0 {
			p.Bytes()[m.ChecksumStart+12] = 8 << 4 // the TCP header has 32 bytes
		}
		var h [HeaderSize]byte
		require.True(t, Put(&h, &m, 3000), "%+v", m)
		require.True(t, Parse(&h, p), "%+v", m)
		require.Equal(t, m, p.Meta)
	}
}

func TestHeaderOfAVerifiedChecksum(t *testing.T) {
	p := newPacket(t, 100)
	require.True(t, Parse(&[HeaderSize]byte{dataValid}, p))
	require.Equal(t, nic.ChecksumVerified, p.Checksum)
	var h [HeaderSize]byte
	require.True(t, Put(&h, &p.Meta, 100))
	require.Zero(t, h, "a frame sent is complete or partial")
}

func TestHeaderRefusesWhatDoesNotFitTheFrame(t *testing.T) {
	partial := nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 16}
	super := partial
	super.Segment, super.SegmentSize, super.HeaderLen = nic.SegmentTCPv4, 1448, 66
	for name, c := range map[string]struct {
		change func(m *nic.Meta)
		size   int
	}{
		"checksum behind the end": {func(m *nic.Meta) {}, 51},
		"largest offsets":         {func(m *nic.Meta) { m.ChecksumStart, m.ChecksumOffset = 65535, 65535 }, 65535},
		"no segment size":         {func(m *nic.Meta) { m.SegmentSize = 0 }, 3000},
		"headers behind the end":  {func(m *nic.Meta) { m.HeaderLen = 3001 }, 3000},
		"complete checksum":       {func(m *nic.Meta) { m.Checksum = nic.ChecksumNone }, 3000},
		"unknown segment type":    {func(m *nic.Meta) { m.Segment = 99 }, 3000},
	} {
		m := super
		c.change(&m)
		var h [HeaderSize]byte
		require.False(t, Put(&h, &m, c.size), name)
	}
}

// FuzzParse: whatever the header says, the metadata stays within the
// frame.
func FuzzParse(f *testing.F) {
	f.Add(make([]byte, HeaderSize), []byte("frame"))
	super := [HeaderSize]byte{needsCsum, gsoTCPv4 | gsoECN}
	binary.NativeEndian.PutUint16(super[4:], 1448)
	binary.NativeEndian.PutUint16(super[6:], 34)
	binary.NativeEndian.PutUint16(super[8:], 16)
	frame := make([]byte, 200)
	frame[34+12] = 0xf0
	f.Add(super[:], frame)
	f.Add([]byte{needsCsum, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, frame)
	f.Add([]byte{0, 3, 0, 0, 1, 0, 0, 0, 0, 0}, frame)
	f.Fuzz(func(t *testing.T, header, frame []byte) {
		if len(header) < HeaderSize || len(frame) > 4000 {
			return
		}
		p := newPacket(t, len(frame))
		copy(p.Bytes(), frame)
		if !Parse((*[HeaderSize]byte)(header), p) {
			return
		}
		if p.Checksum == nic.ChecksumPartial {
			require.LessOrEqual(t, int(p.ChecksumStart)+int(p.ChecksumOffset)+2, len(frame))
		}
		require.Equal(t, p.Segment != nic.SegmentNone, p.SegmentSize > 0)
		require.LessOrEqual(t, int(p.HeaderLen), len(frame))
		p.CompleteChecksum()
	})
}
