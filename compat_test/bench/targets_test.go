package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

func TestEveryTargetNamesAWorkloadAndARow(t *testing.T) {
	require.Empty(t, measure.Misnamed(targets, workloads, rows))
}

func TestTransmittedReadsTheInterfacesCounter(t *testing.T) {
	const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0
  eth0: 3000 30 0 0 0 0 0 0 4000 40 0 0 0 0 0 0
   bad: 1
`
	require.EqualValues(t, 20, transmitted([]byte(table), "lo"))
	require.EqualValues(t, 40, transmitted([]byte(table), "eth0"))
	require.Zero(t, transmitted([]byte(table), "bad"))
	require.Zero(t, transmitted([]byte(table), "none"))
}
