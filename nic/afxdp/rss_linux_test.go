package afxdp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// rssAnswer is what ETHTOOL_GRSSH answers.
func rssAnswer(function, transformation byte, key []byte, table ...uint32) []byte {
	b := make([]byte, rssHeader)
	binary.NativeEndian.PutUint32(b[8:], uint32(len(table)))
	binary.NativeEndian.PutUint32(b[12:], uint32(len(key)))
	b[16], b[17] = function, transformation
	for _, queue := range table {
		b = binary.NativeEndian.AppendUint32(b, queue)
	}
	return append(b, key...)
}

func TestHashIsToldIfItIsToeplitz(t *testing.T) {
	key := bytes.Repeat([]byte{0x6d, 0x5a}, 20)
	got, table := parseRSS(rssAnswer(hashToeplitz, 0, key, 0, 1, 2, 3, 3, 2), 4)
	require.Equal(t, key, got)
	require.Equal(t, []uint16{0, 1, 2, 3, 3, 2}, table)
	for what, b := range map[string][]byte{
		"another function":          rssAnswer(2, 0, key, 0, 1),
		"symmetric":                 rssAnswer(hashToeplitz, 1, key, 0, 1),
		"a queue that there is not": rssAnswer(hashToeplitz, 0, key, 0, 4),
		"a short key":               rssAnswer(hashToeplitz, 0, key[:39], 0, 1),
		"no table":                  rssAnswer(hashToeplitz, 0, key),
		"cut off":                   rssAnswer(hashToeplitz, 0, key, 0, 1)[:70],
		"no answer":                 nil,
	} {
		got, table := parseRSS(b, 4)
		require.Nil(t, got, what)
		require.Nil(t, table, what)
	}
}

func FuzzParseRSS(f *testing.F) {
	f.Add(rssAnswer(hashToeplitz, 0, make([]byte, 40), 0, 1, 2), 3)
	f.Fuzz(func(t *testing.T, b []byte, queues int) {
		key, table := parseRSS(b, max(1, queues))
		require.Equal(t, key == nil, table == nil)
		require.LessOrEqual(t, len(key)+4*len(table), len(b))
	})
}
