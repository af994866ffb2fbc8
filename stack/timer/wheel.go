package timer

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slotBits = 6
	slots    = 1 << slotBits
	// The largest time.Duration has 2^44 ticks at most, so eight levels of six
	// bits hold every time there is: nothing has to be clamped to a horizon.
	levels   = 8
	lastTick = Never / Tick // as a time it is still below Never

	// An idle wheel is turned this often. Were it left far behind the time, a
	// short timer would start on a high level, with a Next long before its own.
	turnAfter = 16 * Tick

	// A timer's place is its level and slot, or one of these.
	placeNone   = 0xffff
	placeFiring = 0xfffe
)

// Wheel is a hierarchical timer wheel. Make one with [New]. All methods but
// [Wheel.Advance] may be called by any goroutine at any time; Advance by one
// goroutine at a time.
type Wheel struct {
	next atomic.Int64  // what Next returns
	turn time.Duration // when Advance turns the wheel even if nothing is due; Advance's own

	mu sync.Mutex
	// elapsed is the tick up to which Advance has worked. A timer due at tick x
	// is on the level of the highest group of six bits in which x differs from
	// elapsed, in the slot which that group of x names. So on every level
	// only slots after elapsed's own are used (on level 0 its own too), and
	// everything on a level is due before anything on the next.
	elapsed  int64
	occupied [levels]uint64 // one bit a slot that is not empty
	slot     [levels][slots]list
	firing   list // due, taken from the slots by Advance, handler not yet called
	armed    int  // timers in slots and in firing
}

// New returns an empty wheel that stands at now.
func New(now time.Duration) *Wheel {
	now = max(0, now)
	w := &Wheel{elapsed: int64(now / Tick), turn: now + turnAfter}
	w.next.Store(int64(Never))
	return w
}

// Arm sees to it that t expires at when or earlier; expiry is never before the
// time that t is queued for, and less than a tick after it was reached. If t is
// already queued at or before when, Arm does nothing, without a lock: the
// handler, called early, finds that its deadline has moved and arms t again. If t
// is queued later it moves. A time in the past expires with the next Advance;
// Never leaves t as it is.
//
// For the handler not to miss a deadline, the caller writes the deadline and calls
// Arm while it holds the lock under which the handler reads it.
//
// Arm reports whether t was queued, or moved: then somebody asleep beyond when sleeps
// too long.
func (w *Wheel) Arm(t *Timer, when time.Duration) bool {
	if when == Never {
		return false
	}
	tick := ceilTick(when)
	if q := t.queued.Load(); q != 0 && q-1 <= tick {
		return false
	}
	return w.arm(t, tick)
}

// arm is the part of Arm that needs the lock.
func (w *Wheel) arm(t *Timer, tick int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	tick = max(tick, w.elapsed)
	switch q := t.queued.Load(); {
	case q == 0:
		w.armed++
	case q-1 <= tick:
		return false
	default:
		w.unlink(t)
	}
	t.queued.Store(tick + 1)
	w.place(t, tick)
	w.publish()
	return true
}

// Stop takes t off the wheel. A handler that Advance is calling at this moment
// goes on, and one that Advance was about to call may still be called once;
// when no Advance is running, the wheel holds no reference to t after Stop.
func (w *Wheel) Stop(t *Timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.queued.Load() == 0 {
		return
	}
	w.unlink(t)
	t.queued.Store(0)
	w.armed--
	w.publish()
}

// Next returns a time at or before which nothing expires but at which Advance
// has something to do, Never if no timer is queued. It costs one atomic load.
// Far timers are sorted in steps, so Advance at that time may find nothing due yet.
func (w *Wheel) Next() time.Duration { return time.Duration(w.next.Load()) }

// Len returns the number of timers that are queued.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed
}

// Advance calls the handlers of all timers due at now, each without the wheel's
// lock and no longer queued, in the order of their ticks, and returns how many.
// A timer that a handler arms for now or earlier waits for the next Advance.
// Time does not run backwards: a now before an earlier one counts as that.
func (w *Wheel) Advance(now time.Duration) int {
	if now < w.Next() && now < w.turn {
		return 0
	}
	w.turn = now + turnAfter
	w.collect(now)
	n := 0
	for {
		t := w.popFiring()
		if t == nil {
			return n
		}
		n++
		t.expirer.Expire(int(t.id), now)
	}
}

// collect moves what is due at now from the slots to the firing list.
func (w *Wheel) collect(now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	target := max(int64(now/Tick), w.elapsed)
	for {
		level, slot, at, ok := w.earliest()
		if !ok || at > target {
			break
		}
		// All timers of this slot are due at or after at, and nothing is
		// due before, so the wheel can turn to it in one step.
		w.elapsed = at
		due := w.slot[level][slot]
		w.slot[level][slot] = list{}
		w.occupied[level] &^= 1 << slot
		for t := due.pop(); t != nil; t = due.pop() {
			if level == 0 {
				t.place = placeFiring
				w.firing.push(t)
			} else {
				w.place(t, t.queued.Load()-1)
			}
		}
	}
	w.elapsed = target
	w.publish()
}

// popFiring takes the first timer of the firing list; nil at its end.
func (w *Wheel) popFiring() *Timer {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.firing.pop()
	if t != nil {
		t.place = placeNone
		t.queued.Store(0)
		w.armed--
	}
	return t
}

// earliest returns the first occupied slot and the tick at which it begins.
func (w *Wheel) earliest() (level, slot int, at int64, ok bool) {
	for level := range levels {
		if w.occupied[level] == 0 {
			continue
		}
		slot := bits.TrailingZeros64(w.occupied[level])
		shift := level * slotBits
		above := w.elapsed &^ (1<<(shift+slotBits) - 1)
		return level, slot, above | int64(slot)<<shift, true
	}
	return 0, 0, 0, false
}

// publish recomputes what Next returns.
func (w *Wheel) publish() {
	next := int64(Never)
	if _, _, at, ok := w.earliest(); ok {
		next = at * int64(Tick)
	}
	if next != w.next.Load() {
		w.next.Store(next)
	}
}

// place puts t into the slot for tick, which is not before elapsed.
func (w *Wheel) place(t *Timer, tick int64) {
	differ := uint64(tick^w.elapsed) | (slots - 1)
	level := (bits.Len64(differ) - 1) / slotBits
	slot := int(tick>>(level*slotBits)) & (slots - 1)
	t.place = uint16(level<<slotBits | slot)
	w.slot[level][slot].push(t)
	w.occupied[level] |= 1 << slot
}

// unlink takes t from where it is.
func (w *Wheel) unlink(t *Timer) {
	if t.place == placeFiring {
		w.firing.remove(t)
	} else {
		level, slot := t.place>>slotBits, t.place&(slots-1)
		w.slot[level][slot].remove(t)
		if w.slot[level][slot].head == nil {
			w.occupied[level] &^= 1 << slot
		}
	}
	t.place = placeNone
}

// ceilTick returns the first tick at or after d.
func ceilTick(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((min(d, lastTick*Tick)-1)/Tick) + 1
}
