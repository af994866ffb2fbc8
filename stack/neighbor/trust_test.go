package neighbor

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUnsolicitedAdvertisementMakesNoEntry(t *testing.T) {
	f := setup(t, Config{})
	f.Advertised(addr1, macA, false, true, f.now)
	f.Advertised(addr1, macA, true, true, f.now)
	require.Zero(t, f.Len())
	e := f.in(None) // looked up, but nobody was asked
	f.Advertised(addr1, macA, true, true, f.now)
	f.is(e, None, none)
	require.EqualValues(t, 3, f.Stats().Unexpected)
}

// What an advertisement does, by the entry's state: RFC 4861 section 7.2.5 and
// appendix C, as far as the package documentation follows them.
func TestAdvertisementByState(t *testing.T) {
	type flags struct{ solicited, override bool }
	var (
		s, o, so, no = flags{true, false}, flags{false, true}, flags{true, true}, flags{}
		all          = []flags{no, s, o, so}
	)
	for _, tt := range []struct {
		state State
		flags []flags
		mac   [6]byte
		want  State
		keeps [6]byte
	}{
		{Incomplete, []flags{s, so}, macA, Reachable, macA},
		{Incomplete, []flags{no, o}, macA, Delay, macA}, // stale, and used by what waits
		{Failed, []flags{s, so}, macA, Reachable, macA},
		{Failed, []flags{no, o}, macA, Stale, macA},

		{Reachable, all, macA, Reachable, macA},
		{Reachable, []flags{no, s}, macB, Stale, macA},
		{Reachable, []flags{o, so}, macB, Delay, macA}, // doubted

		{Stale, all, macA, Stale, macA},
		{Stale, []flags{no, s}, macB, Stale, macA},
		{Stale, []flags{o, so}, macB, Stale, macB},

		{Delay, all, macA, Delay, macA},
		{Delay, all, macB, Delay, macA},

		{Probe, []flags{no, o}, macA, Probe, macA},
		{Probe, []flags{s, so}, macA, Reachable, macA},
		{Probe, all, macB, Probe, macA},
	} {
		for _, fl := range tt.flags {
			f := setup(t, Config{})
			e := f.in(tt.state)
			f.Advertised(addr1, tt.mac, fl.solicited, fl.override, f.now)
			f.acts()
			t.Logf("%v %v %v", tt.state, fl, tt.mac)
			f.is(e, tt.want, tt.keeps)
		}
	}
}

func TestMessageThatAsksUsByState(t *testing.T) {
	for _, tt := range []struct {
		state State
		mac   [6]byte
		want  State
		keeps [6]byte
	}{
		{Dead, macA, Stale, macA}, // no entry: RFC 4861 section 7.2.3
		{None, macA, Stale, macA},
		{Incomplete, macA, Delay, macA},
		{Failed, macA, Stale, macA},
		{Reachable, macA, Reachable, macA},
		{Reachable, macB, Delay, macA},
		{Stale, macA, Stale, macA},
		{Stale, macB, Stale, macB},
		{Delay, macB, Delay, macA},
		{Probe, macB, Probe, macA},
	} {
		f := setup(t, Config{})
		if tt.state != Dead {
			f.in(tt.state)
		}
		f.Heard(addr1, tt.mac, f.now)
		f.acts()
		t.Log(tt.state, tt.mac)
		f.is(f.Lookup(addr1, f.now), tt.want, tt.keeps)
	}
}

func TestPacketsThatWaitAreSentToWhoAsksUs(t *testing.T) {
	f := setup(t, Config{})
	f.in(Incomplete)
	f.Heard(addr1, macA, f.now)
	require.Equal(t, []act{{Resolved, addr1, macA, []int{0}}}, f.acts())
	require.Equal(t, []act{{SolicitUnicast, addr1, macA, nil}}, f.sleep(5*sec), "and it is verified")
}

func TestLiveNeighbourSurvivesAFloodOfForgedClaims(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Reachable)
	probes := 0
	for range 1000 {
		f.Advertised(addr1, macB, true, true, f.now)
		f.Heard(addr1, macB, f.now)
		for _, a := range f.sleep(10 * time.Millisecond) {
			require.Equal(t, act{SolicitUnicast, addr1, macA, nil}, a)
			probes++
			f.Advertised(addr1, macA, true, true, f.now) // the true owner
		}
		mac, ok := f.Use(e, f.now)
		require.True(t, ok)
		require.Equal(t, macA, mac)
	}
	require.LessOrEqual(t, probes, 10, "one a second at most")
	require.NotZero(t, probes)
}

func TestTrueMoveIsFoundThoughHintsStillArrive(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Reachable)
	f.Advertised(addr1, macB, false, true, f.now)
	f.Confirm(e, f.now) // was on its way
	unicast := act{SolicitUnicast, addr1, macA, nil}
	require.Equal(t, []act{unicast, unicast, unicast}, f.sleep(3*sec))
	f.Confirm(e, f.now)
	require.Equal(t, []act{{SolicitMulticast, addr1, none, nil}}, f.sleep(sec))
	f.Advertised(addr1, macB, true, true, f.now)
	f.acts()
	f.is(e, Reachable, macB)
}

func TestClaimWhileDelayedBringsTheProbeForward(t *testing.T) {
	f := setup(t, Config{})
	f.in(Delay)
	f.Advertised(addr1, macB, false, true, f.now)
	require.Equal(t, sec, f.Next()-f.now)
}

func TestSendersThatCannotBeNeighboursAreIgnored(t *testing.T) {
	for _, tt := range []struct {
		addr string
		mac  [6]byte
	}{
		{"192.0.2.1", none},
		{"192.0.2.1", [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"192.0.2.1", [6]byte{1, 0, 0x5e, 0, 0, 1}},
		{"0.0.0.0", macA},
		{"255.255.255.255", macA},
		{"224.0.0.1", macA},
		{"127.0.0.1", macA},
		{"::", macA},
		{"ff02::1", macA},
	} {
		f := setup(t, Config{})
		f.Heard(netip.MustParseAddr(tt.addr), tt.mac, f.now)
		require.Zero(t, f.Len(), "%v", tt)
		require.EqualValues(t, 1, f.Stats().BadSender)
	}
	f := setup(t, Config{})
	f.Heard(netip.Addr{}, macA, f.now)
	require.Zero(t, f.Len())
}

func TestAnswerWithoutAddressConfirmsTheOneProbed(t *testing.T) {
	f := setup(t, Config{})
	e := f.in(Probe)
	f.Advertised(addr1, none, false, true, f.now)
	f.is(e, Probe, macA)
	f.Advertised(addr1, none, true, true, f.now)
	f.is(e, Reachable, macA)
	for _, s := range []State{Incomplete, Failed} {
		f := setup(t, Config{})
		e := f.in(s)
		f.Advertised(addr1, none, true, true, f.now)
		f.is(e, s, none)
	}
}
