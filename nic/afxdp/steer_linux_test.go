package afxdp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// XDP's answers (include/uapi/linux/bpf.h).
const (
	xdpPass       = 2
	xdpToSocket   = 4
	firstFragment = 0x2000 // IPv4: more fragments, offset 0
)

var (
	steerMAC  = nic.MAC{2, 0, 0, 0, 0, 1}
	otherMAC  = nic.MAC{2, 0, 0, 0, 0, 9}
	broadcast = nic.MAC{255, 255, 255, 255, 255, 255}

	shared4, single4, exclusive4, foreign4 = addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3"), addr("192.0.2.77")
	shared6, single6, exclusive6, foreign6 = addr("2001:db8::1"), addr("2001:db8::2"), addr("2001:db8::3"), addr("2001:db8::77")
	flows4, flows6                         = addr("192.0.2.4"), addr("2001:db8::4")
	remote4, remote6                       = addr("198.51.100.1"), addr("2001:db8:1::1")
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// steering is the loaded program, attached to nothing, with a socket for queue
// 0.
type steering struct {
	t       testing.TB
	objects *steerObjects
	filter  *Filter
}

// newSteering loads the program. On shared4 and shared6 TCP port 443 and UDP
// port 53 are open on any address, TCP port 80 on single4 and single6, 4000 on
// any IPv4 one, 6000 on any IPv6 one, and two flows have been dialled from
// port 30000 to remote port 22. On flows4 and flows6 there is nothing but a flow
// from port 443 to remote port 22.
func newSteering(t testing.TB, withSocket bool, w ...way) *steering {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loading eBPF programs needs root")
	}
	cfg, err := Config{Interface: "none", MaxFragments: 64}.check()
	require.NoError(t, err)
	objects, err := loadWay(&cfg, steerMAC, 1, append(w, ways[0])[0])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	if withSocket {
		s, err := openSocket()
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(s.fd) })
		require.NoError(t, objects.Sockets.Put(uint32(0), uint32(s.fd)))
	}
	f := newFilter(objects)
	require.NoError(t, f.SetAddresses([]Address{
		{shared4, Shared}, {single4, Shared}, {exclusive4, Exclusive}, {shared6, Shared}, {single6, Shared}, {exclusive6, Exclusive},
		{flows4, FlowsOnly}, {flows6, FlowsOnly},
	}))
	for _, p := range []Port{
		{6, netip.Addr{}, 443}, {17, netip.Addr{}, 53}, {6, single4, 80}, {6, single6, 80},
		{6, netip.IPv4Unspecified(), 4000}, {6, netip.IPv6Unspecified(), 6000},
	} {
		require.NoError(t, f.AddPort(p))
	}
	for _, w := range []Flow{
		{6, netip.AddrPortFrom(shared4, 30000), netip.AddrPortFrom(remote4, 22)},
		{6, netip.AddrPortFrom(shared6, 30000), netip.AddrPortFrom(remote6, 22)},
		{6, netip.AddrPortFrom(flows4, 443), netip.AddrPortFrom(remote4, 22)},
		{6, netip.AddrPortFrom(flows6, 443), netip.AddrPortFrom(remote6, 22)},
	} {
		require.NoError(t, f.AddFlow(w))
	}
	return &steering{t, objects, f}
}

// run runs the program on a frame and returns its answer.
func (s *steering) run(frame []byte) uint32 {
	s.t.Helper()
	answer, err := s.objects.Steer.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)})
	require.NoError(s.t, err)
	return answer
}

func TestProgramTakesWhatIsOurs(t *testing.T) {
	for _, w := range ways {
		t.Run(fmt.Sprintf("flags %#x", w.flags), func(t *testing.T) { takesWhatIsOurs(t, newSteering(t, true, w)) })
	}
}

func takesWhatIsOurs(t *testing.T, s *steering) {
	port, flow, exclusive, icmp := &FilterCounters{Port: 1}, &FilterCounters{Flow: 1}, &FilterCounters{Exclusive: 1}, &FilterCounters{ICMP: 1}
	passed, bad, early := &FilterCounters{Passed: 1}, &FilterCounters{Bad: 1}, &FilterCounters{FragmentEarly: 1}
	for _, c := range []struct {
		what  string
		frame []byte
		want  *FilterCounters
	}{
		{"a port that is open on any address, IPv4", to4(shared4, 443), port},
		{"and IPv6", to6(shared6, 443), port},
		{"on another address", to4(single4, 443), port},
		{"on an address that is not ours", to4(foreign4, 443), passed},
		{"and IPv6", to6(foreign6, 443), passed},
		{"a port that is not open", to4(shared4, 22), passed},
		{"and IPv6", to6(shared6, 22), passed},
		{"a TCP port by UDP", ip4{src: remote4, dst: shared4, protocol: 17}.frame(transport(1, 443)), passed},
		{"a UDP port", ip4{src: remote4, dst: shared4, protocol: 17}.frame(transport(1, 53)), port},
		{"a UDP port, IPv6", ip6{src: remote6, dst: shared6, next: 17}.frame(transport(1, 53)), port},
		{"a port of one address", to4(single4, 80), port},
		{"on another", to4(shared4, 80), passed},
		{"a port of one address, IPv6", to6(single6, 80), port},
		{"on another", to6(shared6, 80), passed},
		{"a port of all IPv4 addresses", to4(shared4, 4000), port},
		{"but not IPv6", to6(shared6, 4000), passed},
		{"a port of all IPv6 addresses", to6(shared6, 6000), port},
		{"but not IPv4", to4(shared4, 6000), passed},
		{"SCTP", ip4{src: remote4, dst: shared4, protocol: 132}.frame(transport(1, 443)), passed},
		{"an IPv4 address of ours in an IPv6 packet", ip6{src: remote6, dst: netip.AddrFrom16(shared4.As16()), next: 6}.frame(transport(1, 443)), passed},

		{"a flow", ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(22, 30000)), flow},
		{"a flow, IPv6", ip6{src: remote6, dst: shared6, next: 6}.frame(transport(22, 30000)), flow},
		{"from another port", ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(23, 30000)), passed},
		{"from another address", ip4{src: foreign4, dst: shared4, protocol: 6}.frame(transport(22, 30000)), passed},
		{"to another address", ip4{src: remote4, dst: single4, protocol: 6}.frame(transport(22, 30000)), passed},

		{"options", ip4{src: remote4, dst: shared4, protocol: 6, options: 40}.frame(transport(1, 443)), port},
		{"link padding", append(to4(shared4, 443), make([]byte, 46)...), port},
		{"extension headers", ext6(shared6, 443, 0, 60, 43, 60), port},
		{"a whole packet with a fragment header", ext6(shared6, 443, 0, 44), port},
		{"as many extension headers as are looked at", ext6(shared6, 443, 0, 60, 43, 60, 44, 60, 60, 60), port},
		{"one more", ext6(shared6, 443, 0, 60, 43, 60, 44, 60, 60, 60, 60), bad},
		{"extension headers before another port", ext6(shared6, 22, 0, 60), passed},
		{"no next header", ip6{src: remote6, dst: shared6, next: 59}.frame(nil), passed},

		{"anything for an exclusive address", to4(exclusive4, 22), exclusive},
		{"and IPv6", to6(exclusive6, 22), exclusive},
		{"ping", ip4{src: remote4, dst: exclusive4, protocol: 1}.frame([]byte{8, 0, 0, 0, 0, 0, 0, 0}), exclusive},
		{"a later fragment", ip4{src: remote4, dst: exclusive4, protocol: 17, fragment: 100}.frame(make([]byte, 8)), exclusive},
		{"a later fragment, IPv6", piece6(exclusive6, 800, false, 1, make([]byte, 8)), exclusive},
		{"an ARP request", arpFrame(broadcast, 1, remote4, exclusive4), exclusive},
		{"an ARP reply", arpFrame(steerMAC, 2, remote4, exclusive4), exclusive},
		{"an ARP request for a shared address", arpFrame(broadcast, 1, remote4, shared4), passed},
		{"an ARP reply to one", arpFrame(steerMAC, 2, remote4, shared4), passed},
		{"an ARP request for another's", arpFrame(broadcast, 1, remote4, foreign4), passed},
		{"a neighbour solicitation", solicit(exclusive6), exclusive},
		{"a neighbour solicitation for a shared address", solicit(shared6), passed},
		{"a neighbour solicitation for another's", solicit(foreign6), passed},
		{"a router advertisement", ether(nic.MAC{0x33, 0x33, 0, 0, 0, 1}, 0x86dd, ip6{src: remote6, dst: addr("ff02::1"), next: 58}.packet(make([]byte, 32))), passed},

		{"ping of a shared address", ip4{src: remote4, dst: shared4, protocol: 1}.frame([]byte{8, 0, 0, 0, 0, 0, 0, 0}), passed},
		{"unreachable, about a connection of a listener", error4(3, shared4, sent4(shared4, 443, 999)), icmp},
		{"time exceeded, about a flow", error4(11, shared4, sent4(shared4, 30000, 22)), icmp},
		{"parameter problem", error4(12, shared4, sent4(shared4, 443, 999)), icmp},
		{"a redirect", error4(5, shared4, sent4(shared4, 443, 999)), passed},
		{"unreachable, about another's connection", error4(3, shared4, sent4(shared4, 22, 999)), passed},
		{"about another flow", error4(3, shared4, sent4(shared4, 30000, 23)), passed},
		{"about a packet from another address", error4(3, shared4, sent4(foreign4, 443, 999)), passed},
		{"about a later fragment", error4(3, shared4, ip4{src: shared4, dst: remote4, protocol: 6, fragment: 9}.packet(transport(443, 1))), passed},
		{"about a packet with options", error4(3, shared4, ip4{src: shared4, dst: remote4, protocol: 6, options: 12}.packet(transport(443, 1)[:8])), icmp},
		{"about ICMP", error4(3, shared4, ip4{src: shared4, dst: remote4, protocol: 1}.packet(make([]byte, 8))), passed},
		{"with too little quoted", error4(3, shared4, sent4(shared4, 443, 999)[:22]), bad},
		{"with nothing quoted", error4(3, shared4, nil), bad},
		{"about something that is not IPv4", error4(3, shared4, sent6(shared6, 443, 999)), bad},
		{"unreachable, IPv6", error6(1, shared6, sent6(shared6, 443, 999)), icmp},
		{"packet too big, about a flow", error6(2, shared6, sent6(shared6, 30000, 22)), icmp},
		{"time exceeded, about another's", error6(3, shared6, sent6(shared6, 22, 999)), passed},
		{"about a packet from another address", error6(1, shared6, sent6(single6, 443, 999)), passed},
		{"parameter problem about a packet with extension headers", func() []byte {
			next, payload := extensions(6, transport(443, 999), 0, 60)
			return error6(4, shared6, ip6{src: shared6, dst: remote6, next: next}.packet(payload))
		}(), icmp},
		{"with too little quoted, IPv6", error6(1, shared6, sent6(shared6, 443, 999)[:41]), bad},
		{"ping, IPv6", ip6{src: remote6, dst: shared6, next: 58}.frame([]byte{128, 0, 0, 0, 0, 0, 0, 0}), passed},

		{"a later fragment before its first", ip4{src: remote4, dst: shared4, protocol: 17, fragment: 100, id: 99}.frame(make([]byte, 8)), early},
		{"and IPv6", piece6(shared6, 800, true, 99, make([]byte, 8)), early},

		{"a VLAN tag", vlan(to4(shared4, 443), 0x8100), passed},
		{"a priority tag", priority(to4(shared4, 443)), port},
		{"and IPv6", priority(to6(shared6, 443)), port},
		{"before options", priority(ip4{src: remote4, dst: shared4, protocol: 6, options: 40}.frame(transport(1, 443))), port},
		{"before extension headers", priority(ext6(shared6, 443, 0, 60, 43)), port},
		{"before an error", priority(error4(3, shared4, sent4(shared4, 443, 999))), icmp},
		{"before an error, IPv6", priority(error6(2, shared6, sent6(shared6, 30000, 22))), icmp},
		{"before an ARP request", priority(arpFrame(broadcast, 1, remote4, exclusive4)), exclusive},
		{"before a neighbour solicitation", priority(solicit(exclusive6)), exclusive},
		{"before another port", priority(to4(shared4, 22)), passed},
		{"before another tag", priority(vlan(to4(shared4, 443), 0x8100)), passed},
		{"before a priority tag", priority(priority(to4(shared4, 443))), passed},
		{"cut off", cut(priority(to4(shared4, 443)), 17), bad},
		{"with ports cut off", cut(priority(to4(shared4, 443)), 41), bad},

		{"a port of an address of which flows alone are taken", to4(flows4, 443), passed},
		{"and IPv6", to6(flows6, 443), passed},
		{"its flow", ip4{src: remote4, dst: flows4, protocol: 6}.frame(transport(22, 443)), flow},
		{"and IPv6", ip6{src: remote6, dst: flows6, next: 6}.frame(transport(22, 443)), flow},
		{"an error about its flow", error4(3, flows4, sent4(flows4, 443, 22)), icmp},
		{"an error about its port", error4(3, flows4, sent4(flows4, 443, 999)), passed},
		{"an error about its flow, IPv6", error6(1, flows6, sent6(flows6, 443, 22)), icmp},
		{"an error about its port, IPv6", error6(1, flows6, sent6(flows6, 443, 999)), passed},
		{"an ARP request for it", arpFrame(broadcast, 1, remote4, flows4), passed},

		{"a service tag", vlan(to4(exclusive4, 443), 0x88a8), passed},
		{"another EtherType", ether(steerMAC, 0x88cc, make([]byte, 50)), passed},
		{"another's Ethernet address", to(to4(exclusive4, 443), otherMAC), passed},
		{"by broadcast", to(to4(exclusive4, 443), broadcast), passed},
		{"IPv6 by a group", to(to6(exclusive6, 443), nic.MAC{0x33, 0x33, 0, 0, 0, 1}), passed},

		{"an IPv4 header cut off", cut(to4(shared4, 443), 33), bad},
		{"ports cut off", cut(to4(shared4, 443), 37), bad},
		{"ports beyond the total length", ip4{src: remote4, dst: shared4, protocol: 6, total: -17}.frame(transport(1, 443)), bad},
		{"a total length below the header's", ip4{src: remote4, dst: shared4, protocol: 6, total: -30}.frame(transport(1, 443)), bad},
		{"another version", func() []byte { b := to4(shared4, 443); b[14] = 0x65; return b }(), bad},
		{"a header length below 20", func() []byte { b := to4(shared4, 443); b[14] = 0x44; return b }(), bad},
		{"options cut off", cut(ip4{src: remote4, dst: shared4, protocol: 6, options: 40}.frame(transport(1, 443)), 60), bad},
		{"an IPv6 header cut off", cut(to6(shared6, 443), 53), bad},
		{"extension headers cut off", cut(ext6(shared6, 443, 0, 60, 43), 70), bad},
		{"an extension header beyond the frame", func() []byte { b := ext6(shared6, 443, 0); b[55] = 255; return b }(), bad},
		{"ports beyond the payload length", ip6{src: remote6, dst: shared6, next: 6, cut: 17}.frame(transport(1, 443)), bad},
		{"an ARP packet cut off", cut(arpFrame(broadcast, 1, remote4, exclusive4), 30), bad},
	} {
		before := s.filter.Counters()
		want := uint32(xdpPass)
		if c.want.Taken() > 0 {
			want = xdpToSocket
		}
		require.Equal(t, want, s.run(c.frame), c.what)
		require.Equal(t, *c.want, since(before, s.filter.Counters()), c.what)
	}
}

// What a local peer has not cut at all (BIG TCP) is the stack's too: the kernel would
// reset its connection.
func TestPacketsAboveWhatAHeaderTellsAreOurs(t *testing.T) {
	s := newSteering(t, true, ways[0]) // without multi-buffer a frame of a test has a page at the most
	segment4, segment6 := ip4{src: remote4, dst: shared4, protocol: 6}.frame(transport(1, 443)), ip6{src: remote6, dst: shared6, next: 6}.frame(transport(1, 443))
	for _, frame := range [][]byte{big(segment4), big(segment6), big(ext6(shared6, 443, 0)), big(ext6(shared6, 443, 0, 60))} {
		require.EqualValues(t, xdpToSocket, s.run(frame))
		require.EqualValues(t, xdpPass, s.run(frame[:60000]), "it has room there, and tells 0")
	}
	require.Equal(t, FilterCounters{Port: 4, Bad: 4}, s.filter.Counters())
}

// since is what was counted between two readings.
func since(a, b FilterCounters) FilterCounters {
	return FilterCounters{
		b.Port - a.Port, b.Flow - a.Flow, b.Exclusive - a.Exclusive, b.ICMP - a.ICMP, b.Fragment - a.Fragment, b.MapFull - a.MapFull,
		b.Passed - a.Passed, b.FragmentEarly - a.FragmentEarly, b.Bad - a.Bad, b.NoSocket - a.NoSocket,
	}
}

func TestLaterFragmentsFollowTheirFirst(t *testing.T) {
	s := newSteering(t, true)
	four := func(id, fragment uint16, port uint16) []byte {
		return ip4{src: remote4, dst: shared4, protocol: 6, id: id, fragment: fragment}.frame(transport(1, port))
	}
	six := func(id uint32, offset uint16, more bool, port uint16) []byte {
		return piece6(shared6, offset, more, id, transport(1, port))
	}
	for _, c := range []struct {
		name                       string
		first, last, others, newer []byte
	}{
		{"IPv4", four(7, firstFragment, 443), four(7, 3, 0), four(8, 3, 0), four(7, firstFragment, 22)},
		{"IPv6", six(7, 0, true, 443), six(7, 24, false, 0), six(8, 24, false, 0), six(7, 0, true, 22)},
	} {
		require.EqualValues(t, xdpPass, s.run(c.last), c.name+": before its first")
		require.EqualValues(t, xdpToSocket, s.run(c.first), c.name)
		require.EqualValues(t, xdpToSocket, s.run(c.last), c.name)
		require.EqualValues(t, xdpToSocket, s.run(c.last), c.name+": once more")
		require.EqualValues(t, xdpPass, s.run(c.others), c.name+": of another datagram")
		// The identification comes round, and the datagram is the kernel's.
		require.EqualValues(t, xdpPass, s.run(c.newer), c.name)
		require.EqualValues(t, xdpPass, s.run(c.last), c.name)
	}
	n := s.filter.Counters()
	require.EqualValues(t, 4, n.Fragment)
	require.EqualValues(t, 6, n.FragmentEarly)

	// Many more datagrams than the map has room for: the latest is known, and of the
	// others no more than there is room for. (Which, depends on the processors that
	// they came by: each has a list of its own of the entries that it has made.)
	for id := range uint16(1000) {
		require.EqualValues(t, xdpToSocket, s.run(four(id, firstFragment, 443)))
	}
	require.EqualValues(t, xdpToSocket, s.run(four(999, 3, 0)))
	known := 0
	for id := range uint16(1000) {
		if s.run(four(id, 3, 0)) == xdpToSocket {
			known++
		}
	}
	require.LessOrEqual(t, known, 64, "MaxFragments")
	require.Zero(t, s.filter.Counters().MapFull)
}

func TestPacketsOfQueuesWithoutSocketPass(t *testing.T) {
	s := newSteering(t, false)
	require.EqualValues(t, xdpPass, s.run(to4(shared4, 443)))
	require.EqualValues(t, xdpPass, s.run(to4(exclusive4, 1)))
	require.Equal(t, FilterCounters{NoSocket: 2}, s.filter.Counters())
}

func TestProgramNeverDropsOrAborts(t *testing.T) {
	for _, w := range ways {
		t.Run(fmt.Sprintf("flags %#x", w.flags), func(t *testing.T) { neverDropsOrAborts(t, newSteering(t, true, w)) })
	}
}

func neverDropsOrAborts(t *testing.T, s *steering) {
	r := rand.New(rand.NewPCG(1, 2))
	seeds := frames()
	for i := range 20000 {
		var frame []byte
		if i%4 == 0 {
			frame = make([]byte, 14+r.IntN(200))
			for j := range frame {
				frame[j] = byte(r.Uint32())
			}
		} else {
			frame = slices.Clone(seeds[r.IntN(len(seeds))])
			for range 1 + r.IntN(4) {
				frame[12+r.IntN(len(frame)-12)] = byte(r.Uint32())
			}
			frame = frame[:14+r.IntN(len(frame)-13)]
		}
		s.agrees(frame)
	}
	n := s.filter.Counters()
	require.EqualValues(t, 20000, n.Taken()+n.Passed+n.FragmentEarly+n.Bad+n.NoSocket, "each frame is counted once: %+v", n)
	require.NotZero(t, n.Taken())
	require.NotZero(t, n.Bad)
}
