package afxdp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPortsCloseOneByOne(t *testing.T) {
	s := newSteering(t, true)
	takes := func(frame []byte) bool { return s.run(frame) == xdpToSocket }
	any, any4, any6 := Port{6, netip.Addr{}, 900}, Port{6, netip.IPv4Unspecified(), 900}, Port{6, netip.IPv6Unspecified(), 900}
	one4, one6 := Port{6, shared4, 900}, Port{6, shared6, 900}
	mapped := Port{6, netip.AddrFrom16(shared4.As16()), 900}
	for _, p := range []Port{any, any4, any6, one4, one6, mapped, any} {
		require.NoError(t, s.filter.AddPort(p))
	}
	for _, c := range []struct {
		closed         Port
		shared, single bool // IPv4 is taken on these addresses afterwards
		six            bool // IPv6 on shared6
	}{
		{any, true, true, true},
		{any6, true, true, true},
		{one6, true, true, false},
		{any4, true, false, false},
		{Port{6, single4, 900}, true, false, false}, // never opened
		{one4, false, false, false},
		{one4, false, false, false},
	} {
		require.NoError(t, s.filter.RemovePort(c.closed))
		require.Equal(t, c.shared, takes(to4(shared4, 900)), c.closed)
		require.Equal(t, c.single, takes(to4(single4, 900)), c.closed)
		require.Equal(t, c.six, takes(to6(shared6, 900)), c.closed)
	}
	require.True(t, takes(to4(shared4, 443)), "another port")
}

func TestFlowsComeAndGo(t *testing.T) {
	s := newSteering(t, true)
	frame := ip4{src: remote4, dst: shared4, protocol: 17}.frame(transport(53, 5353))
	w := Flow{17, netip.AddrPortFrom(shared4, 5353), netip.AddrPortFrom(remote4, 53)}
	require.EqualValues(t, xdpPass, s.run(frame))
	require.NoError(t, s.filter.AddFlow(w))
	require.NoError(t, s.filter.AddFlow(w))
	require.EqualValues(t, xdpToSocket, s.run(frame))
	require.NoError(t, s.filter.RemoveFlow(w))
	require.NoError(t, s.filter.RemoveFlow(w))
	require.EqualValues(t, xdpPass, s.run(frame))
}

// A connection that the kernel had before its port was taken stays the kernel's, and
// only that.
func TestExceptedFlowsPass(t *testing.T) {
	s := newSteering(t, true)
	theirs := ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(1, 443))
	other := ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(2, 443))
	w := Flow{6, netip.AddrPortFrom(shared4, 443), netip.AddrPortFrom(remote4, 1)}
	require.EqualValues(t, xdpToSocket, s.run(theirs))
	require.NoError(t, s.filter.ExceptFlow(w))
	require.NoError(t, s.filter.ExceptFlow(w))
	require.EqualValues(t, xdpPass, s.run(theirs))
	require.EqualValues(t, xdpToSocket, s.run(other))
	require.NoError(t, s.filter.RemoveFlow(w))
	require.NoError(t, s.filter.RemoveFlow(w))
	require.EqualValues(t, xdpToSocket, s.run(theirs))
}

func TestAddressesThatStayAreServedThroughout(t *testing.T) {
	s := newSteering(t, true)
	done := make(chan error)
	go func() {
		defer close(done)
		for i := range 500 {
			other := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i%100)})
			if err := s.filter.SetAddresses([]Address{{other, Mode(i % 3)}, {shared4, Shared}}); err != nil {
				done <- err
			}
		}
	}()
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
			require.EqualValues(t, xdpToSocket, s.run(to4(shared4, 443)))
		}
	}
	require.EqualValues(t, xdpPass, s.run(to4(exclusive4, 443)), "no address any more")
	require.NoError(t, s.filter.SetAddresses([]Address{{exclusive4, Shared}, {exclusive4, Exclusive}}))
	require.EqualValues(t, xdpToSocket, s.run(to4(exclusive4, 22)))
	require.NoError(t, s.filter.SetAddresses([]Address{{exclusive4, Shared}}))
	require.EqualValues(t, xdpPass, s.run(to4(exclusive4, 22)), "shared from now on")
	require.NoError(t, s.filter.SetAddresses([]Address{{shared4, FlowsOnly}}))
	require.EqualValues(t, xdpPass, s.run(to4(shared4, 443)), "of flows alone")
	require.EqualValues(t, xdpToSocket, s.run(ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(22, 30000))))
	require.NoError(t, s.filter.SetAddresses([]Address{{shared4, Shared}}))
	require.EqualValues(t, xdpToSocket, s.run(to4(shared4, 443)), "shared again")
	require.NoError(t, s.filter.SetAddresses(nil))
	require.EqualValues(t, xdpPass, s.run(to4(exclusive4, 443)))
	link := addr("fe80::1%eth0")
	require.NoError(t, s.filter.SetAddresses([]Address{{link, Shared}}))
	require.EqualValues(t, xdpToSocket, s.run(to6(link.WithZone(""), 443)), "zones are not part of a packet")
}

func TestFilterRefusesWhatMakesNoSense(t *testing.T) {
	s := newSteering(t, false)
	for _, a := range []netip.Addr{{}, netip.IPv4Unspecified(), addr("ff02::1"), addr("224.0.0.1")} {
		require.ErrorContains(t, s.filter.SetAddresses([]Address{{a, Shared}}), "is no address of an interface")
	}
	require.ErrorContains(t, s.filter.SetAddresses([]Address{{shared4, 3}}), "there is no mode 3")
	require.ErrorContains(t, s.filter.AddPort(Port{1, shared4, 80}), "protocol 1 has no ports")
	require.ErrorContains(t, s.filter.RemovePort(Port{1, shared4, 80}), "protocol 1 has no ports")
	require.ErrorContains(t, s.filter.AddFlow(Flow{6, netip.AddrPortFrom(shared4, 1), netip.AddrPortFrom(shared6, 1)}), "two addresses of one family")
	require.ErrorContains(t, s.filter.AddFlow(Flow{1, netip.AddrPortFrom(shared4, 1), netip.AddrPortFrom(remote4, 1)}), "protocol 1 has no flows")
	require.ErrorContains(t, s.filter.RemoveFlow(Flow{6, netip.AddrPort{}, netip.AddrPort{}}), "is no flow")
}

func TestFilterHasLimits(t *testing.T) {
	l := newLab(t, 1)
	f := l.open(Config{MaxPorts: 2, MaxFlows: 2}).dev.Filter()
	for i := range uint16(2) {
		require.NoError(t, f.AddPort(Port{6, ourIP, 1 + i}))
		require.NoError(t, f.AddFlow(Flow{6, netip.AddrPortFrom(ourIP, 1), netip.AddrPortFrom(hostIP, 1+i)}))
	}
	for _, p := range []Port{{6, ourIP, 3}, {6, netip.Addr{}, 3}} {
		err := f.AddPort(p)
		require.ErrorIs(t, err, unix.E2BIG)
		require.ErrorContains(t, err, "there are 2 ports already")
		require.NoError(t, f.RemovePort(p), "it is not there")
	}
	err := f.AddFlow(Flow{6, netip.AddrPortFrom(ourIP, 1), netip.AddrPortFrom(hostIP, 9)})
	require.ErrorIs(t, err, unix.E2BIG)
	require.ErrorContains(t, err, "there are 2 flows already")
	require.NoError(t, f.RemovePort(Port{6, ourIP, 1}))
	require.NoError(t, f.AddPort(Port{6, ourIP, 3}))
}
