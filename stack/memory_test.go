package stack

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// An idle connection holds no buffer, so what it costs is its own size: it stays
// in the allocator's class of 1280 bytes.
func TestConnectionIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(TCPConn{}), uintptr(1280))
	require.LessOrEqual(t, unsafe.Sizeof(flow{}), uintptr(80))
	require.LessOrEqual(t, unsafe.Sizeof(timeWait{}), uintptr(144))
}
