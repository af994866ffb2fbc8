package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTCPRoundTrip(t *testing.T) {
	f := TCPFields{SrcPort: 80, DstPort: 40000, Seq: 0xfffffffe, Ack: 7, Flags: TCPFlagSYN | TCPFlagACK, Window: 0x1234, Urgent: 9}
	o := TCPOptions{MSS: 1460, WScale: 7, SACKPermitted: true, Timestamps: true, TSVal: 1, TSEcr: 2}
	b := make([]byte, TCPMinLen+o.Len()+3)
	f.Put(b, o.Len())
	require.Equal(t, o.Len(), o.Put(b[TCPMinLen:]))
	copy(b[len(b)-3:], "abc")

	h, payload, err := ParseTCP(b)
	require.NoError(t, err)
	require.Equal(t, "abc", string(payload))
	h.SetChecksum(0xbeef)
	require.Equal(t, uint16(0xbeef), h.Checksum())
	require.Equal(t, f, TCPFields{h.SrcPort(), h.DstPort(), h.Seq(), h.Ack(), h.Flags(), h.Window(), h.Urgent()})
	require.Equal(t, TCPMinLen+20, h.HeaderLen())
	var got TCPOptions
	require.NoError(t, ParseTCPOptions(h.OptionBytes(), &got))
	require.Equal(t, o, got)
}

func TestTCPFlagsString(t *testing.T) {
	require.Equal(t, "S.", (TCPFlagSYN | TCPFlagACK).String())
	require.Equal(t, "FP.", (TCPFlagFIN | TCPFlagPSH | TCPFlagACK).String())
	require.Equal(t, "FSRPUEW.", TCPFlags(0xff).String())
	require.Equal(t, "", TCPFlags(0).String())
}

func TestParseTCPChecksTheOffset(t *testing.T) {
	b := make([]byte, 24)
	for offset, want := range map[byte]error{0: ErrHeaderLen, 4: ErrHeaderLen, 5: nil, 6: nil, 7: ErrShort, 15: ErrShort} {
		b[12] = offset << 4
		_, _, err := ParseTCP(b)
		require.Equal(t, want, err, "offset %d", offset)
	}
	_, _, err := ParseTCP(b[:19])
	require.Equal(t, ErrShort, err)
}

func TestParseTCPOptions(t *testing.T) {
	none := TCPOptions{WScale: -1}
	with := func(change func(*TCPOptions)) TCPOptions { o := none; change(&o); return o }
	for _, tc := range []struct {
		name string
		b    []byte
		want TCPOptions
		err  error
	}{
		{"none", nil, none, nil},
		{"end of list", []byte{0, 2, 4, 1}, none, nil},
		{"padding", []byte{1, 1, 1, 1}, none, nil},
		{"timestamps as usual", []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, with(func(o *TCPOptions) { o.Timestamps, o.TSVal, o.TSEcr = true, 1, 2 }), nil},
		{"timestamps otherwise", []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0}, with(func(o *TCPOptions) { o.Timestamps, o.TSVal, o.TSEcr = true, 1, 2 }), nil},
		{"an unknown one is skipped", []byte{254, 4, 9, 9, 2, 4, 5, 0xb4}, with(func(o *TCPOptions) { o.MSS = 1460 }), nil},
		{"a wrong length is skipped", []byte{2, 3, 5, 1, 3, 3, 5, 0}, with(func(o *TCPOptions) { o.WScale = 5 }), nil},
		{"window scale is limited", []byte{3, 3, 200, 0}, with(func(o *TCPOptions) { o.WScale = 14 }), nil},
		{"length 0", []byte{3, 3, 5, 99, 0, 0, 0, 0}, with(func(o *TCPOptions) { o.WScale = 5 }), ErrOption},
		{"length 1", []byte{99, 1, 0, 0}, none, ErrOption},
		{"past the end", []byte{2, 5, 1, 1}, none, ErrOption},
		{"no length", []byte{1, 1, 1, 2}, none, ErrOption},
		{"SACK", append([]byte{1, 1, 5, 18}, make([]byte, 16)...), with(func(o *TCPOptions) { o.NumSACK = 2 }), nil},
		{"SACK of half a block", append([]byte{1, 1, 5, 14}, make([]byte, 12)...), none, nil},
		{"five SACK blocks", append([]byte{1, 1, 5, 42}, make([]byte, 40)...), with(func(o *TCPOptions) { o.NumSACK = 4 }), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := TCPOptions{MSS: 5, Timestamps: true, NumSACK: 3, SACKPermitted: true}
			require.Equal(t, tc.err, ParseTCPOptions(tc.b, &o))
			if !tc.want.Timestamps {
				o.TSVal, o.TSEcr = 0, 0
			}
			require.Equal(t, tc.want, o)
		})
	}
}

func TestTCPOptionsLen(t *testing.T) {
	o := TCPOptions{WScale: -1, Timestamps: true, NumSACK: 3}
	require.Equal(t, 40, o.Len())
	o = TCPOptions{WScale: -1, NumSACK: 4}
	require.Equal(t, 36, o.Len())
	o.Reset()
	require.Zero(t, o.Len())
	o = TCPOptions{WScale: 0, MSS: 1, SACKPermitted: true}
	b := make([]byte, o.Len())
	o.Put(b)
	require.Equal(t, []byte{2, 4, 0, 1, 4, 2, 1, 1, 1, 3, 3, 0}, b)
}

func FuzzParseTCP(f *testing.F) {
	f.Add([]byte{0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x80, 0x18, 1, 2, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 65})
	f.Add([]byte{0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x60, 2, 1, 2, 0, 0, 0, 0, 2, 4, 5, 180})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseTCP(b)
		if err != nil {
			return
		}
		require.Equal(t, len(b), h.HeaderLen()+len(payload))
		fields := TCPFields{h.SrcPort(), h.DstPort(), h.Seq(), h.Ack(), h.Flags(), h.Window(), h.Urgent()}
		again := make([]byte, h.HeaderLen())
		fields.Put(again, len(h.OptionBytes()))
		copy(again[TCPMinLen:], h.OptionBytes())
		TCP(again).SetChecksum(h.Checksum())
		again[12] |= b[12] & 0xf // reserved bits
		require.Equal(t, b[:h.HeaderLen()], again)
	})
}

func FuzzParseTCPOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7})
	f.Add([]byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0})
	f.Add([]byte{1, 3, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again TCPOptions
		if len(b) > 40 || ParseTCPOptions(b, &o) != nil {
			return
		}
		out := make([]byte, o.Len())
		require.Equal(t, len(out), o.Put(out))
		require.Zero(t, len(out)%4)
		require.NoError(t, ParseTCPOptions(out, &again))
		require.Equal(t, o, again)
	})
}

func BenchmarkParseTCPOptions(b *testing.B) {
	in := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	var o TCPOptions
	for b.Loop() {
		ParseTCPOptions(in, &o)
	}
}
