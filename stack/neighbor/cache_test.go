package neighbor

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	addr1 = netip.MustParseAddr("192.0.2.1")
	addr6 = netip.MustParseAddr("fe80::1")
	macA  = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB  = [6]byte{2, 0, 0, 0, 0, 0xb}
	none  [6]byte
)

const sec = time.Second

// act is an Action without its entry, for comparison.
type act struct {
	kind    ActionKind
	addr    netip.Addr
	mac     [6]byte
	pending []int
}

// fixture is a cache with a clock and without randomness; packets are numbers.
type fixture struct {
	*testing.T
	*Cache[int]
	now time.Duration
}

func setup(t *testing.T, cfg Config) *fixture {
	return &fixture{t, New[int](cfg), 100 * sec}
}

// acts returns what the cache asks for now.
func (f *fixture) acts() (acts []act) {
	for _, a := range f.Advance(f.now, nil) {
		require.Equal(f, a.Addr, a.Entry.Addr())
		acts = append(acts, act{a.Kind, a.Addr, a.MAC, a.Pending})
	}
	require.Greater(f, f.Next(), f.now, "nothing more is due")
	return acts
}

// sleep advances to d from now in the steps that Next names.
func (f *fixture) sleep(d time.Duration) (acts []act) {
	end := f.now + d
	for f.Next() <= end {
		f.now = max(f.now, f.Next())
		acts = append(acts, f.acts()...)
	}
	f.now = end
	return acts
}

func (f *fixture) enqueue(e *Entry[int], p int) Status {
	_, s := f.Enqueue(e, p, f.now)
	return s
}

func (f *fixture) is(e *Entry[int], s State, mac [6]byte) {
	f.Helper()
	require.Equal(f, s.String(), e.State().String())
	got, ok := e.MAC()
	require.Equal(f, s.known(), ok)
	require.Equal(f, mac, got)
}

// in returns an entry of addr1 with macA in the given state.
func (f *fixture) in(s State) *Entry[int] {
	f.Helper()
	e := f.Lookup(addr1, f.now)
	if s == None {
		return e
	}
	f.enqueue(e, 0)
	f.acts()
	switch s {
	case Incomplete:
	case Failed:
		f.sleep(3 * sec)
	default:
		f.Advertised(addr1, macA, true, true, f.now)
		f.acts()
		if s != Reachable {
			f.sleep(30 * sec)
		}
		if s == Delay || s == Probe {
			f.Use(e, f.now)
		}
		if s == Probe {
			f.sleep(5 * sec)
		}
	}
	require.Equal(f, s.String(), e.State().String())
	return e
}

func TestFirstPacketAsksAndTheAnswerReleasesIt(t *testing.T) {
	for _, addr := range []netip.Addr{addr1, addr6} {
		f := setup(t, Config{})
		e := f.Lookup(addr, f.now)
		require.Empty(t, f.acts(), "a lookup alone asks nobody")
		_, ok := f.Use(e, f.now)
		require.False(t, ok)
		require.Equal(t, Queued, f.enqueue(e, 1))
		require.Equal(t, Queued, f.enqueue(e, 2))
		require.LessOrEqual(t, f.Next(), f.now)
		require.Equal(t, []act{{SolicitMulticast, addr, none, nil}}, f.acts())
		f.is(e, Incomplete, none)

		f.Advertised(addr, macA, true, true, f.now)
		require.Equal(t, []act{{Resolved, addr, macA, []int{1, 2}}}, f.acts())
		f.is(e, Reachable, macA)
		mac, ok := f.Use(e, f.now)
		require.True(t, ok)
		require.Equal(t, macA, mac)
		require.Equal(t, Known, f.enqueue(e, 3))
	}
}

func TestSolicitationsAreASecondApartAndThenThePacketsFail(t *testing.T) {
	f := setup(t, Config{})
	e := f.Lookup(addr1, f.now)
	f.enqueue(e, 1)
	start := f.now
	var times []time.Duration
	for e.State() != Failed {
		f.now = max(f.now, f.Next())
		for _, a := range f.acts() {
			if a.kind == SolicitMulticast {
				times = append(times, f.now-start)
			} else {
				require.Equal(t, act{Unreachable, addr1, none, []int{1}}, a)
			}
		}
	}
	require.Equal(t, []time.Duration{0, sec, 2 * sec}, times)
	require.Equal(t, 3*sec, f.now-start)
	f.is(e, Failed, none)
}

func TestPacketsFailAtOnceWhileAFailureIsFreshThenTheEntryGoes(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Failed)
	require.Equal(t, NoAnswer, f.enqueue(e, 1))
	require.Same(t, e, f.Lookup(addr1, f.now))
	require.Empty(t, f.sleep(2*sec))
	require.True(t, e.Dead())
	require.Equal(t, Gone, f.enqueue(e, 1))

	again := f.Lookup(addr1, f.now)
	require.NotSame(t, e, again)
	require.Equal(t, Queued, f.enqueue(again, 1))
	require.Equal(t, []act{{SolicitMulticast, addr1, none, nil}}, f.acts())
}

func TestOldestPendingPacketMakesRoom(t *testing.T) {
	f := setup(t, Config{MaxPending: 2})
	e := f.in(None)
	f.enqueue(e, 1)
	f.enqueue(e, 2)
	dropped, s := f.Enqueue(e, 3, f.now)
	require.Equal(t, QueuedDropped, s)
	require.Equal(t, 1, dropped)
	f.acts()
	f.Advertised(addr1, macA, true, true, f.now)
	require.Equal(t, []act{{Resolved, addr1, macA, []int{2, 3}}}, f.acts())
	require.EqualValues(t, 1, f.Stats().PendingDrops)
}

func TestUnusedEntryTurnsStaleAndStaysSilent(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Reachable)
	require.Empty(t, f.sleep(30*sec-1))
	f.is(e, Reachable, macA)
	require.Empty(t, f.sleep(1))
	f.is(e, Stale, macA)
	require.Empty(t, f.sleep(5*time.Minute))
	f.is(e, Stale, macA)
}

func TestEntryUnusedForLongGoes(t *testing.T) {
	f := setup(t, Config{})
	for _, s := range []State{None, Reachable} {
		e := f.in(s)
		require.Empty(t, f.sleep(11*time.Minute))
		require.True(t, e.Dead())
		require.Zero(t, f.Len())
		require.Equal(t, Never, f.Next())
	}
}

func TestUsedStaleEntryIsProbedAfterADelay(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Stale)
	mac, ok := f.Use(e, f.now)
	require.True(t, ok, "a stale address is used meanwhile")
	require.Equal(t, macA, mac)
	f.is(e, Delay, macA)
	require.Empty(t, f.sleep(5*sec-1))
	require.Equal(t, []act{{SolicitUnicast, addr1, macA, nil}}, f.sleep(1))
	f.is(e, Probe, macA)
	f.Advertised(addr1, macA, true, false, f.now)
	require.Empty(t, f.acts())
	f.is(e, Reachable, macA)
}

func TestUnansweredProbesFallBackToMulticast(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Probe)
	unicast := act{SolicitUnicast, addr1, macA, nil}
	multicast := act{SolicitMulticast, addr1, none, nil}
	require.Equal(t, []act{unicast, unicast, multicast}, f.sleep(3*sec))
	f.is(e, Incomplete, none)
	require.Equal(t, Queued, f.enqueue(e, 7))
	require.Equal(t, []act{multicast, multicast, {Unreachable, addr1, none, []int{7}}}, f.sleep(3*sec))
	f.is(e, Failed, none)
}

func TestUpperLayerConfirmationKeepsAnEntryReachable(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Reachable)
	for range 100 {
		require.Empty(t, f.sleep(10*sec))
		f.Confirm(e, f.now)
		f.Use(e, f.now)
		f.is(e, Reachable, macA)
	}
	for _, s := range []State{Stale, Delay, Probe} {
		f := setup(t, Config{})
		e := f.in(s)
		f.Confirm(e, f.now)
		f.is(e, Reachable, macA)
		require.Empty(t, f.sleep(29*sec))
	}
	for _, s := range []State{None, Incomplete, Failed} {
		f := setup(t, Config{})
		e := f.in(s)
		f.Confirm(e, f.now)
		f.is(e, s, none)
	}
}

func TestReachableTimeIsRandomizedByHalf(t *testing.T) {
	for bits, want := range map[uint64]time.Duration{0: 15 * sec, 1 << 15: 30 * sec, 1<<16 - 1: 45*sec - 30*sec>>16} {
		f := setup(t, Config{Rand: func() uint64 { return bits }})
		f.in(Reachable)
		require.InDelta(t, want, f.Next()-f.now, 1e6)
	}
}

func TestAddressesAreOneEntryWhateverTheirForm(t *testing.T) {
	f := setup(t, Config{})
	require.Same(t, f.Lookup(addr1, f.now), f.Lookup(netip.AddrFrom16(addr1.As16()), f.now))
	require.Same(t, f.Lookup(addr6, f.now), f.Lookup(addr6.WithZone("eth0"), f.now))
	require.Equal(t, 2, f.Len())
}

func TestPermanentEntryNeitherAgesNorChanges(t *testing.T) {
	f := setup(t, Config{MaxEntries: 1})
	e := f.in(Incomplete)
	f.AddPermanent(addr1, macB, f.now)
	require.Equal(t, []act{{Resolved, addr1, macB, []int{0}}}, f.acts())
	f.Advertised(addr1, macA, true, true, f.now)
	f.Heard(addr1, macA, f.now)
	f.Confirm(e, f.now)
	f.Lookup(addr6, f.now) // does not evict it
	f.Flush()
	f.sleep(time.Hour)
	f.is(e, Permanent, macB)
	require.Equal(t, Never, f.Next())
	require.True(t, f.Remove(addr1))
	require.False(t, f.Remove(addr1))
	require.True(t, e.Dead())
	_, ok := f.Use(e, f.now)
	require.False(t, ok)
}

func TestRemovedAndFlushedEntriesReturnTheirPackets(t *testing.T) {
	for name, remove := range map[string]func(f *fixture){
		"remove": func(f *fixture) { f.Remove(addr1) },
		"flush":  func(f *fixture) { f.Flush() },
	} {
		f := setup(t, Config{})
		e := f.in(Incomplete)
		remove(f)
		require.Equal(t, []act{{Unreachable, addr1, none, []int{0}}}, f.acts(), name)
		require.True(t, e.Dead())
		require.Equal(t, Never, f.Next())
	}
}

func TestTimersFollowARouterAdvertisement(t *testing.T) {
	f := setup(t, Config{})
	f.SetTimers(10*sec, 3*sec)
	f.in(Incomplete)
	require.Equal(t, 3*sec, f.Next()-f.now)
	f.Advertised(addr1, macA, true, true, f.now)
	f.acts()
	require.Equal(t, 10*sec, f.Next()-f.now)
	f.SetTimers(0, 0) // unspecified: unchanged
	require.Equal(t, 10*sec, f.cfg.ReachableTime)
}

func TestSnapshotShowsEntriesByAddress(t *testing.T) {
	f := setup(t, Config{})
	f.Lookup(addr6, f.now)
	f.in(Incomplete)
	require.Equal(t, []Info{
		{Addr: addr1, State: Incomplete, Used: f.now, Pending: 1},
		{Addr: addr6, State: None, Used: f.now},
	}, f.Snapshot())
}

func TestUseAndConfirmDoNotAllocate(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Reachable)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f.now += 10 * time.Millisecond
		require.Same(t, e, f.Lookup(addr1, f.now))
		f.Use(e, f.now)
		f.Confirm(e, f.now)
	}))
}
