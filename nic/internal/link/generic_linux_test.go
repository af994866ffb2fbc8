package link

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestGenericFamiliesAreFound(t *testing.T) {
	n, err := OpenGeneric()
	require.NoError(t, err)
	defer n.Close()
	id, err := n.Family("nlctrl") // which every kernel has
	require.NoError(t, err)
	require.EqualValues(t, unix.GENL_ID_CTRL, id)
	_, err = n.Family("no such family")
	require.Error(t, err)
}

func TestAttributesEndAtTheFirstThatIsMalformed(t *testing.T) {
	b := AppendAttribute(nil, 1, []byte("abc"))
	b = AppendAttribute(b, 2|unix.NLA_F_NESTED, AppendAttribute(nil, 3, []byte{9}))
	good := len(b)
	b = append(b, 200, 0, 4, 0, 1)
	var kinds []uint16
	var values [][]byte
	EachAttribute(b, func(kind uint16, value []byte) {
		kinds, values = append(kinds, kind), append(values, value)
	})
	require.Equal(t, []uint16{1, 2}, kinds)
	require.Equal(t, []byte("abc"), values[0])
	require.Less(t, good, len(b))
	EachAttribute(values[1], func(kind uint16, value []byte) {
		require.EqualValues(t, 3, kind)
		require.Equal(t, []byte{9}, value)
	})
}

func FuzzEachAttribute(f *testing.F) {
	f.Add(AppendAttribute(AppendAttribute(nil, 1, []byte("abc")), 2, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		EachAttribute(b, func(_ uint16, value []byte) { total += 4 + len(value) })
		require.LessOrEqual(t, total, len(b))
	})
}
