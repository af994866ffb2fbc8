package stack

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// An idle connection holds no buffer, so what it costs is its own size, its entry
// in the flow table included: with the allocator's header of 8 bytes it stays in
// the class of 1408.
func TestConnectionIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(TCPConn{}), uintptr(1400))
	require.LessOrEqual(t, unsafe.Sizeof(flow{}), uintptr(80))
	require.LessOrEqual(t, unsafe.Sizeof(timeWait{}), uintptr(176))
}
