package stack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An entry can be replaced by who looked it up before the table grew, and
// nothing of it is left.
func TestFlowTableReplacesAcrossGrowth(t *testing.T) {
	var table flowTable
	table.init([4]uint64{1, 2, 3, 4})
	key := func(n int) tuple {
		return tuple{local: addr{lo: 1}, remote: addr{lo: uint64(n)}, localPort: 80, remotePort: uint16(n)}
	}
	const n = 5000
	conns := make([]*TCPConn, n)
	for i := range conns {
		conns[i] = new(TCPConn)
		old := table.lookup(&tuple{})
		if i > 0 {
			k := key(i - 1)
			old = table.lookup(&k)
			require.NotNil(t, old)
			tw := new(timeWait)
			require.True(t, table.insert(&flow{key: key(i), conn: conns[i]}, nil)) // may grow
			require.True(t, table.insert(&flow{key: k, timeWait: tw}, old))
			f := table.lookup(&k)
			require.Same(t, tw, f.timeWait)
			table.remove(&k, nil, tw)
			require.Nil(t, table.lookup(&k))
			continue
		}
		require.True(t, table.insert(&flow{key: key(i), conn: conns[i]}, old))
	}
	require.Equal(t, 1, table.len())
	k := key(n - 1)
	require.False(t, table.insert(&flow{key: k, conn: conns[0]}, nil), "the tuple is taken")
}
