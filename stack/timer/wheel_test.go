package timer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// recorder owns timers and remembers which expired, and when.
type recorder struct {
	timers []Timer
	fired  []expiry
	then   func(id int, now time.Duration)
}

type expiry struct {
	id int
	at time.Duration
}

func newRecorder(n int) *recorder {
	r := &recorder{timers: make([]Timer, n)}
	for i := range r.timers {
		r.timers[i].Init(r, i)
	}
	return r
}

func (r *recorder) Expire(id int, now time.Duration) {
	r.fired = append(r.fired, expiry{id, now})
	if r.then != nil {
		r.then(id, now)
	}
}

// run advances w from one Next to the following until until.
func run(w *Wheel, until time.Duration) {
	for w.Next() <= until {
		w.Advance(w.Next())
	}
	w.Advance(until)
}

func TestTimerExpiresAtItsTickHoweverFar(t *testing.T) {
	for _, tt := range []struct{ start, when, want time.Duration }{
		{0, 0, 0},
		{0, 1, ms},
		{0, ms, ms},
		{0, ms + 1, 2 * ms},
		{0, 63 * ms, 63 * ms},
		{0, 64 * ms, 64 * ms},
		{0, 65 * ms, 65 * ms},
		{0, 4095 * ms, 4095 * ms},
		{0, 4096 * ms, 4096 * ms},
		{63 * ms, 64 * ms, 64 * ms},
		{4095 * ms, 4097 * ms, 4097 * ms},
		{12345 * ms, 12345*ms + 2*time.Hour, 12345*ms + 2*time.Hour},
		{time.Hour, 200 * 24 * time.Hour, 200 * 24 * time.Hour},
		{time.Second, 250 * 365 * 24 * time.Hour, 250 * 365 * 24 * time.Hour},
		{time.Second, Never - 1, lastTick * Tick},
		{time.Second, -time.Second, time.Second}, // the past is now
		{time.Second, time.Millisecond, time.Second},
	} {
		w, r := New(tt.start), newRecorder(1)
		require.True(t, w.Arm(&r.timers[0], tt.when))
		require.LessOrEqual(t, w.Next(), tt.want)
		w.Advance(tt.want - 1)
		require.Empty(t, r.fired, "before its time: %v", tt)
		run(w, tt.want)
		require.Equal(t, []expiry{{0, tt.want}}, r.fired, "%v", tt)
		require.Equal(t, Never, w.Next())
		require.Zero(t, w.Len())
	}
}

func TestOneLongStepExpiresAllInOrderOfTheirTicks(t *testing.T) {
	w, r := New(0), newRecorder(5)
	for i, when := range []time.Duration{time.Hour, 3 * ms, 5 * time.Second, 3 * ms, 70 * ms} {
		w.Arm(&r.timers[i], when)
	}
	require.Equal(t, 5, w.Advance(2*time.Hour))
	var order []int
	for _, f := range r.fired {
		order = append(order, f.id)
	}
	require.Equal(t, []int{1, 3, 4, 2, 0}, order)
}

func TestArmingLaterKeepsTheEarlierPlace(t *testing.T) {
	w, r := New(0), newRecorder(1)
	w.Arm(&r.timers[0], 200*ms)
	require.False(t, w.Arm(&r.timers[0], 500*ms))
	require.Equal(t, 1, w.Len())
	run(w, 300*ms)
	require.Equal(t, []expiry{{0, 200 * ms}}, r.fired)
	require.Equal(t, Never, w.Next())
}

func TestArmingEarlierMovesTheTimer(t *testing.T) {
	w, r := New(0), newRecorder(1)
	w.Arm(&r.timers[0], 500*ms)
	require.True(t, w.Arm(&r.timers[0], 20*ms))
	require.Equal(t, 1, w.Len())
	require.Equal(t, 20*ms, w.Next())
	run(w, time.Second)
	require.Equal(t, []expiry{{0, 20 * ms}}, r.fired)
}

func TestArmReportsWhetherTheTimerIsQueuedEarlier(t *testing.T) {
	w, r := New(0), newRecorder(3)
	require.True(t, w.Arm(&r.timers[0], 30*ms))
	require.True(t, w.Arm(&r.timers[1], 40*ms), "whoever armed the other may not have woken anybody")
	require.False(t, w.Arm(&r.timers[1], 50*ms))
	require.False(t, w.Arm(&r.timers[1], 40*ms))
	require.True(t, w.Arm(&r.timers[1], 35*ms))
	require.Equal(t, 30*ms, w.Next())
}

func TestArmForNeverLeavesTheTimerAlone(t *testing.T) {
	w, r := New(0), newRecorder(1)
	require.False(t, w.Arm(&r.timers[0], Never))
	require.False(t, r.timers[0].Queued())
	w.Arm(&r.timers[0], ms)
	w.Arm(&r.timers[0], Never)
	run(w, time.Second)
	require.Len(t, r.fired, 1)
}

func TestStoppedTimerDoesNotExpire(t *testing.T) {
	w, r := New(0), newRecorder(2)
	w.Stop(&r.timers[0]) // not queued: nothing happens
	w.Arm(&r.timers[0], 10*ms)
	w.Arm(&r.timers[1], time.Hour)
	w.Stop(&r.timers[0])
	require.False(t, r.timers[0].Queued())
	require.Greater(t, w.Next(), time.Minute)
	w.Stop(&r.timers[1])
	require.Equal(t, Never, w.Next())
	require.Zero(t, w.Len())
	run(w, 2*time.Hour)
	require.Empty(t, r.fired)
	require.Nil(t, r.timers[0].next, "no reference is left")
}

func TestHandlerMayStopATimerDueInTheSameStep(t *testing.T) {
	w, r := New(0), newRecorder(3)
	for i := range r.timers {
		w.Arm(&r.timers[i], 10*ms)
	}
	r.then = func(id int, _ time.Duration) { w.Stop(&r.timers[1]) }
	require.Equal(t, 2, w.Advance(10*ms))
	require.Equal(t, []expiry{{0, 10 * ms}, {2, 10 * ms}}, r.fired)
}

func TestHandlerThatArmsForThePastWaitsForTheNextAdvance(t *testing.T) {
	w, r := New(0), newRecorder(1)
	r.then = func(id int, now time.Duration) { w.Arm(&r.timers[id], now-ms) }
	w.Arm(&r.timers[0], 10*ms)
	for i := 1; i <= 3; i++ {
		require.Equal(t, 1, w.Advance(10*ms))
		require.Len(t, r.fired, i)
		require.Equal(t, 10*ms, w.Next())
	}
}

func TestTimerArmedWhileItWaitsForItsHandlerExpiresOnce(t *testing.T) {
	w, r := New(0), newRecorder(2)
	w.Arm(&r.timers[0], 10*ms)
	w.Arm(&r.timers[1], 10*ms)
	r.then = func(id int, now time.Duration) {
		if id == 0 {
			w.Arm(&r.timers[1], now-5*ms) // due already: its handler comes next
			w.Arm(&r.timers[1], now+5*ms)
		}
	}
	require.Equal(t, 2, w.Advance(10*ms))
	require.Equal(t, Never, w.Next())
}

func TestTimeRunningBackwardsExpiresNothing(t *testing.T) {
	w, r := New(0), newRecorder(1)
	w.Advance(time.Hour)
	w.Arm(&r.timers[0], time.Hour+ms)
	require.Zero(t, w.Advance(time.Minute))
	require.Zero(t, w.Advance(-time.Minute))
	require.Equal(t, 1, w.Advance(time.Hour+ms))
}

func TestNothingAllocates(t *testing.T) {
	w, r := New(0), newRecorder(100)
	r.fired = make([]expiry, 0, 1<<20)
	now := time.Duration(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range r.timers {
			w.Arm(&r.timers[i], now+time.Duration(i*i)*ms)
		}
		w.Stop(&r.timers[7])
		now += 3 * time.Second
		w.Advance(now)
	}))
}

// model is the obvious timer queue: a time a timer, searched in full.
type model struct{ queued []int64 } // tick, or Never

func (m *model) arm(i int, tick int64) { m.queued[i] = min(m.queued[i], tick) }
func (m *model) earliest() int64 {
	first := int64(math.MaxInt64)
	for _, q := range m.queued {
		first = min(first, q)
	}
	return first
}

// FuzzWheelActsLikeASortedQueue plays a program of three-byte instructions on
// the wheel and on the model.
func FuzzWheelActsLikeASortedQueue(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 2, 255, 0x83, 0, 10, 0xc0, 1, 0, 0x85, 9, 9})
	f.Add([]byte{0x10, 0xff, 1, 0x24, 3, 2, 0x38, 1, 3, 0xbf, 1, 1, 0xbf, 255, 255})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		program := make([]byte, 600)
		for i := range program {
			program[i] = byte(rng.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		const timers = 16
		w, r := New(0), newRecorder(timers)
		m := model{queued: make([]int64, timers)}
		for i := range m.queued {
			m.queued[i] = math.MaxInt64
		}
		now := time.Duration(0)
		for ; len(program) >= 3; program = program[3:] {
			op, i := program[0]>>6, int(program[0]>>2)%timers
			// A shift spreads the times over all levels.
			d := time.Duration(program[2]) * 100 * time.Microsecond << (program[1] % 38)
			switch op {
			case 0, 1:
				when := min(now+d, Never/2)
				w.Arm(&r.timers[i], when)
				m.arm(i, max(ceilTick(when), int64(now/Tick)))
			case 2:
				now = min(now+d, Never/4)
				r.fired = r.fired[:0]
				w.Advance(now)
				seen := map[int]bool{}
				last := int64(0)
				for _, x := range r.fired {
					require.LessOrEqual(t, m.queued[x.id], int64(now/Tick), "expired early")
					require.LessOrEqual(t, last, m.queued[x.id], "out of order")
					last = m.queued[x.id]
					require.False(t, seen[x.id], "expired twice")
					seen[x.id] = true
					m.queued[x.id] = math.MaxInt64
				}
				require.Greater(t, m.earliest(), int64(now/Tick), "a due timer was left")
			case 3:
				w.Stop(&r.timers[i])
				m.queued[i] = math.MaxInt64
			}
			n := 0
			for i, q := range m.queued {
				require.Equal(t, q != math.MaxInt64, r.timers[i].Queued())
				if q != math.MaxInt64 {
					n++
				}
			}
			require.Equal(t, n, w.Len())
			if first := m.earliest(); first == math.MaxInt64 {
				require.Equal(t, Never, w.Next())
			} else {
				require.LessOrEqual(t, int64(w.Next()), first*int64(Tick))
			}
		}
	})
}

func TestNextOfAShortTimerIsCloseAfterIdleTime(t *testing.T) {
	w, r := New(0), newRecorder(1)
	now := 10*time.Hour + 13*ms
	w.Advance(now)
	w.Arm(&r.timers[0], now+30*ms)
	require.Greater(t, w.Next(), now)
}
