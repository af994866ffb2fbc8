package nic

import "sync/atomic"

// Shortage remembers which of a driver's pools Alloc found empty, for the wake-up
// that Queue.Arm promises then. There is one for each queue; pools are known by
// their number, below 32, in the list that Over is given.
//
// Alloc calls Note after Get returned nil. PoolConfig.Freed wakes each queue for
// which Any is true and that is armed. Arm, once it has set its flag, calls Over.
type Shortage struct{ pools atomic.Uint32 }

// Note notes that pool i was empty.
func (s *Shortage) Note(i int) { s.pools.Or(1 << i) }

// Any reports whether a pool was empty.
func (s *Shortage) Any() bool { return s.pools.Load() != 0 }

// Over reports whether one of the pools that were empty is not so any more, and
// forgets those.
func (s *Shortage) Over(pools []*Pool) bool {
	noted := s.pools.Load()
	if noted == 0 {
		return false
	}
	over := uint32(0)
	for i, l := range pools {
		if noted&(1<<i) != 0 && !l.Starved() {
			over |= 1 << i
		}
	}
	s.pools.And(^over)
	return over != 0
}
