package stack

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// Buffers that a host needed once are the garbage collector's a while later.
func TestAHostGivesMemoryBack(t *testing.T) {
	h := NewHost(Config{})
	defer h.Close()
	h.trimAfterCollections(time.Millisecond)
	p := h.held.Get()
	memory := weak.Make(&p.Buffer()[0])
	p.Release()
	p = nil
	require.Eventually(t, func() bool {
		runtime.GC() // and what waits for one: see trimAfterCollections
		return memory.Value() == nil
	}, time.Minute, 10*time.Millisecond)
}

// A host that nobody has any more is not kept, and one that is closed is left alone.
func TestAHostIsNotKeptForItsMemory(t *testing.T) {
	for _, end := range []func(*Host){func(*Host) {}, func(h *Host) { h.Close() }} {
		host := func() weak.Pointer[Host] {
			h := NewHost(Config{})
			end(h)
			return weak.Make(h)
		}()
		require.Eventually(t, func() bool {
			runtime.GC()
			return host.Value() == nil
		}, time.Minute, 10*time.Millisecond)
	}
}
