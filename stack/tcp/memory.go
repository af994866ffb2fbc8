package tcp

import "sync/atomic"

// Memory is what the connections of a host hold, in bytes of the buffers and not
// of the payload in them: received and not read, out of order, written and not
// acknowledged. It is a limit of the kind of Linux's net.ipv4.tcp_mem. It is
// safe for concurrent use; the zero value has no limit.
type Memory struct {
	used   atomic.Int64
	limit  int64
	owners *atomic.Int64
	_      [40]byte
	// level changes seldom, so that looking at it costs nothing.
	level atomic.Int32
}

// The levels of a Memory.
const (
	memoryPlenty int32 = iota
	memoryTight        // three quarters of the limit are used
	memoryFull
)

// SetLimit sets the limit, before use; 0 is none. owners is how many connections
// there are; nil stands for one.
func (m *Memory) SetLimit(bytes int64, owners *atomic.Int64) { m.limit, m.owners = bytes, owners }

// Share is how many bytes a connection may hold each way while memory is tight
// before it must give way to others, as in Linux's __sk_mem_raise_allocated: an
// equal part of the limit. So those that hold much do not keep out those that come.
// When memory is full it is 0.
func (m *Memory) Share() int {
	if m.Full() {
		return 0
	}
	n := int64(1)
	if m.owners != nil {
		n = max(1, m.owners.Load())
	}
	return int(m.limit / 2 / n)
}

// Add counts n more bytes, or fewer if n is negative.
func (m *Memory) Add(n int) {
	level := m.levelOf(m.used.Add(int64(n)))
	// Once more after a change: who comes last to level may have been first at used.
	for level != m.level.Load() {
		m.level.Store(level)
		level = m.levelOf(m.used.Load())
	}
}

func (m *Memory) levelOf(used int64) int32 {
	switch {
	case m.limit == 0:
		return memoryPlenty
	case used >= m.limit:
		return memoryFull
	case used >= m.limit/4*3:
		return memoryTight
	}
	return memoryPlenty
}

// Used is how many bytes are held, to some 64 KiB for each processor.
func (m *Memory) Used() int64 { return m.used.Load() }

// Tight reports whether it is time to offer less and to grow nothing.
func (m *Memory) Tight() bool { return m.level.Load() >= memoryTight }

// Full reports whether nothing more is to be taken, but by those who have
// nothing.
func (m *Memory) Full() bool { return m.level.Load() == memoryFull }
