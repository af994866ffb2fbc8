package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

func TestSegmentsOfABurstGoUpTogether(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, stamps := range []bool{false, true} {
			w := newTwins(t, v6, stamps)
			var burst [][]byte
			for range 9 {
				burst = append(burst, w.data(1000))
			}
			w.inject(append(burst, w.data(10))...) // the last one is short, and padded
			w.compare()
			require.Equal(t, 9, w.coalesced())
			require.Zero(t, w.labs[1].host.Stats().TCP.Coalesced)
			w.read(20_000)
			require.Equal(t, 9010, w.got)
		}
	}
}

// What may differ from one segment to the next.
func TestCoalescesDespite(t *testing.T) {
	for name, c := range map[string]struct {
		v6     bool
		second func(w *twins) []byte
	}{
		"PSH":               {false, func(w *twins) []byte { return changed(w.data(1000), func(_, t []byte) { t[13] |= byte(psh) }) }},
		"less data":         {true, func(w *twins) []byte { return w.data(1) }},
		"newer timestamp":   {false, func(w *twins) []byte { w.stamp += 7; return w.data(1000) }},
		"timestamp wraps":   {false, func(w *twins) []byte { w.stamp += 1<<31 - 1; return w.data(1000) }},
		"IP identification": {false, func(w *twins) []byte { return changed(w.data(1000), func(ip, _ []byte) { ip[4] = 9 }) }},
		"padding":           {false, func(w *twins) []byte { return append(w.data(3), 1, 2, 3) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwins(t, c.v6, true)
			w.inject(w.data(1000), c.second(w))
			w.compare()
			require.Equal(t, 1, w.coalesced())
			w.read(5000)
		})
	}
}

// Every reason for which a segment is not joined to the one before; what it does
// then is what it does alone.
func TestDoesNotCoalesce(t *testing.T) {
	ip := func(change func(ip []byte)) func(w *twins) []byte {
		return func(w *twins) []byte {
			return changed(w.data(900), func(ip, _ []byte) { change(ip) })
		}
	}
	tcpHeader := func(change func(t []byte)) func(w *twins) []byte {
		return func(w *twins) []byte {
			return changed(w.data(1000), func(_, t []byte) { change(t) })
		}
	}
	raw := func(change func(b []byte) []byte) func(w *twins) []byte {
		return func(w *twins) []byte { return change(w.data(1000)) }
	}
	for name, c := range map[string]struct {
		v6     bool
		second func(w *twins) []byte
	}{
		"source port":      {false, tcpHeader(func(t []byte) { t[1]++ })},
		"destination port": {false, tcpHeader(func(t []byte) { t[3]++ })},
		"source address":   {false, ip(func(ip []byte) { ip[15]++ })},
		"source address 6": {true, ip(func(ip []byte) { ip[23]++ })},
		"destination":      {false, ip(func(ip []byte) { ip[19]++ })},
		"addresses":        {false, ip(func(ip []byte) { ip[15]++; ip[19]-- })},
		"addresses 6":      {true, ip(func(ip []byte) { ip[23]++; ip[39]-- })},
		"source MAC":       {false, raw(func(b []byte) []byte { b[11]++; return b })},
		"destination MAC":  {false, raw(func(b []byte) []byte { b[5]++; return b })},
		"gap":              {false, func(w *twins) []byte { w.snd++; return w.data(1000) }},
		"again":            {false, func(w *twins) []byte { w.snd -= 1000; return w.data(1000) }},
		"overlap":          {true, func(w *twins) []byte { w.snd--; return w.data(1000) }},
		"more data":        {false, func(w *twins) []byte { return w.data(1001) }},
		"no data":          {false, func(w *twins) []byte { return w.data(0) }},
		"acknowledgement":  {false, tcpHeader(func(t []byte) { t[11]-- })},
		"window":           {false, tcpHeader(func(t []byte) { t[15]-- })},
		"FIN":              {false, tcpHeader(func(t []byte) { t[13] |= byte(fin) })},
		"RST":              {false, tcpHeader(func(t []byte) { t[13] |= byte(rst) })},
		"SYN":              {false, tcpHeader(func(t []byte) { t[13] |= byte(syn) })},
		"no ACK":           {false, tcpHeader(func(t []byte) { t[13] &^= byte(ack) })},
		"URG":              {false, tcpHeader(func(t []byte) { t[13] |= byte(header.TCPFlagURG) })},
		"ECE":              {false, tcpHeader(func(t []byte) { t[13] |= byte(header.TCPFlagECE) })},
		"CWR":              {false, tcpHeader(func(t []byte) { t[13] |= byte(header.TCPFlagCWR) })},
		"reserved bit":     {false, tcpHeader(func(t []byte) { t[12] |= 1 })},
		"older timestamp":  {false, func(w *twins) []byte { w.stamp--; return w.data(1000) }},
		"echo":             {false, tcpHeader(func(t []byte) { t[31]-- })},
		"no timestamp":     {false, func(w *twins) []byte { w.stamps = false; return w.data(1000) }},
		"unknown option":   {false, tcpHeader(func(t []byte) { t[22] = 99 })},
		"other options":    {false, tcpHeader(func(t []byte) { copy(t[20:], []byte{8, 10}); copy(t[30:], []byte{1, 1}) })},
		"SACK": {false, func(w *twins) []byte {
			s := w.seg(ack, octets(w.snd, 900))
			s.Options.NumSACK = 1
			s.Options.SACK[0] = header.SACKBlock{Start: uint32(w.rcv) + 1, End: uint32(w.rcv) + 2}
			return w.labs[0].segment(w.from, w.to, s)
		}},
		"header length":     {false, tcpHeader(func(t []byte) { t[12] += 16 })},
		"ECN":               {false, ip(func(ip []byte) { ip[1] |= 3 })},
		"type of service":   {false, ip(func(ip []byte) { ip[1] |= 0x10 })},
		"time to live":      {false, ip(func(ip []byte) { ip[8]-- })},
		"don't fragment":    {false, ip(func(ip []byte) { ip[6] ^= 0x40 })},
		"fragment":          {false, ip(func(ip []byte) { ip[6] |= 0x20 })},
		"protocol":          {false, ip(func(ip []byte) { ip[9] = 17 })},
		"length beyond":     {false, ip(func(ip []byte) { ip[3]++ })},
		"length of headers": {false, ip(func(ip []byte) { ip[2], ip[3] = 0, 52 })},
		"length below":      {false, ip(func(ip []byte) { ip[2], ip[3] = 0, 30 })},
		"traffic class":     {true, ip(func(ip []byte) { ip[1] |= 0x30 })},
		"flow label":        {true, ip(func(ip []byte) { ip[3]++ })},
		"hop limit":         {true, ip(func(ip []byte) { ip[7]-- })},
		"length beyond, with a checksum to match": {false, func(w *twins) []byte {
			b := changed(append(w.data(900), 0), func(ip, _ []byte) { header.IPv4(ip).SetTotalLen(len(ip)) })
			return b[:len(b)-1]
		}},
		"length beyond 6":    {true, ip(func(ip []byte) { ip[5]++ })},
		"next header":        {true, ip(func(ip []byte) { ip[6] = 59 })},
		"checksum":           {false, raw(func(b []byte) []byte { b[len(b)-1]++; return b })},
		"IP checksum":        {false, raw(func(b []byte) []byte { b[header.EthernetLen+10]++; return b })},
		"bare pseudo sum":    {false, bareChecksum},
		"cut":                {false, raw(func(b []byte) []byte { return b[:100] })},
		"Ethernet type":      {false, raw(func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b })},
		"options of IPv4":    {false, raw(func(b []byte) []byte { return withOption(b) })},
		"extension header":   {true, raw(func(b []byte) []byte { return extended(b, header.ProtoDestOptions, 1, 4, 0, 0, 0, 0) })},
		"behind a datagram":  {false, func(w *twins) []byte { w.inject(w.labs[0].udp(w.from, w.to, nil)); return w.data(1400) }},
		"another connection": {false, func(w *twins) []byte { return other(w) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwins(t, c.v6, true)
			w.inject(w.data(1000), w.data(1000))
			w.inject(c.second(w))
			w.compare()
			require.Equal(t, 1, w.coalesced(), "of the first two")
			w.read(5000)
		})
	}
}

// An ACK that is padded to the least frame is no data.
func TestDoesNotCoalescePadding(t *testing.T) {
	w := newTwins(t, false, false)
	w.inject(w.data(1000), append(w.data(0), 0, 0, 0, 0, 0, 0), w.data(1000))
	w.compare()
	require.Zero(t, w.coalesced())
	w.read(5000)
	require.Equal(t, 2000, w.got)
}

// bareChecksum is what a local sender's frame holds on a veth: on a device that
// is not said to deliver those, the checksum is wrong.
func bareChecksum(w *twins) []byte {
	b := w.data(1000)
	t := b[header.EthernetLen+header.IPv4MinLen:]
	header.TCP(t).SetChecksum(pseudoSum(w.from.Addr(), w.to.Addr(), header.ProtoTCP, len(t)))
	return b
}

// withOption adds an IPv4 option that does nothing.
func withOption(b []byte) []byte {
	const at = header.EthernetLen + header.IPv4MinLen
	b = append(append(append([]byte(nil), b[:at]...), 1, 1, 1, 0), b[at:]...)
	b[header.EthernetLen]++
	ip := header.IPv4(b[header.EthernetLen : at+4])
	ip.SetTotalLen(len(b) - header.EthernetLen)
	ip.UpdateChecksum()
	return b
}

// other is a segment to a port that nobody listens on, between two of the
// connection's.
func other(w *twins) []byte {
	b := w.data(1000)
	w.inject(changed(b, func(_, t []byte) { t[3]++ }))
	return changed(b, func(_, t []byte) { t[15]-- })
}

func TestCoalescesBareChecksums(t *testing.T) {
	w := newTwins(t, false, true)
	for _, l := range w.labs {
		l.iface.offloads |= nic.RxBarePartial
	}
	w.inject(bareChecksum(w), bareChecksum(w), w.data(1000), bareChecksum(w))
	w.compare()
	require.Equal(t, 3, w.coalesced())
	w.read(5000)
	require.Equal(t, 4000, w.got)
}

// An ACK is sent for two full segments, whatever the trips they took; for less
// it may wait.
func TestAckOfCoalescedSegments(t *testing.T) {
	for n, want := range []int{0, 0, 1, 1, 1} {
		w := newTwins(t, false, true)
		// The size of the peer's segments is known, and is not that of a run.
		w.inject(w.data(700))
		w.compare()
		w.read(700)
		for range n {
			w.inject(w.data(700))
		}
		acks := 0
		l := w.labs[0]
		for l.host.Poll() > 0 {
		}
		l.collect()
		acks = len(l.frames)
		require.Equal(t, want, acks, "%d segments", n)
		w.labs[1].run()
	}
}

// A run that meets a hole, or fills one, is looked at segment by segment.
func TestCoalescedOutOfOrder(t *testing.T) {
	w := newTwins(t, false, true)
	var fs [][]byte
	for range 20 {
		fs = append(fs, w.data(1000))
	}
	w.inject(fs[10:]...)
	w.compare()
	require.Zero(t, w.coalesced())
	w.inject(fs[:10]...)
	w.compare()
	w.read(1 << 16)
	require.Equal(t, 20_000, w.got)
}

// A window that comes with an older segment than the last one of a run is not
// taken (RFC 9293 section 3.10.7.4, SND.WL1).
func TestOldWindowAfterARun(t *testing.T) {
	for _, stamps := range []bool{false, true} {
		w := newTwins(t, false, stamps)
		burst := [][]byte{w.data(500), w.data(500), w.data(500)}
		old := w.seg(ack, nil)
		old.Seq -= 700
		old.Window -= 1000
		w.inject(append(burst, w.labs[0].segment(w.from, w.to, old))...)
		w.compare()
		require.Equal(t, 2, w.coalesced())
		require.Equal(t, int(w.window)<<2, w.conns[0].Info().SndWnd)
		w.read(5000)
	}
}

// Each timestamp is compared with the one before, not with the first.
func TestTimestampsOfARun(t *testing.T) {
	w := newTwins(t, true, true)
	burst := [][]byte{w.data(500)}
	w.stamp += 5
	burst = append(burst, w.data(500))
	w.stamp -= 2
	w.inject(append(burst, w.data(500))...)
	w.compare()
	require.Equal(t, 1, w.coalesced())
	w.read(5000)
}
