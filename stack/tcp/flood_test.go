package tcp

import (
	"testing"

	"github.com/fastnet-go/fastnet/stack/header"
)

// BenchmarkOutOfOrderFlood is what a segment of one octet costs that an
// attacker puts into another odd place each time (CVE-2018-5390), and its ACK.
func BenchmarkOutOfOrderFlood(b *testing.B) {
	p := newPair(b, nil)
	seg := Segment{Ack: p.b.una, Flags: flagACK, Window: 1000, Payload: make([]byte, 1)}
	seg.Options.Reset()
	seg.Options.Timestamps, seg.Options.TSVal = true, p.b.tsRecent
	base := p.b.rcvNxt
	var out Segment
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		seg.Seq = base.Add(2 + i*7919%60_000&^1)
		p.b.Input(&seg, p.now)
		for p.b.Next(&out, 1448, p.now) {
			p.b.Sent(&out, p.now)
		}
	}
}

// BenchmarkSACKFlood is what an ACK costs that SACKs other single octets each
// time (CVE-2019-11478), and what is sent again for it.
func BenchmarkSACKFlood(b *testing.B) {
	p := newPair(b, nil)
	p.a.cw.Cwnd = 1 << 20
	p.a.Write(make([]byte, 1<<20))
	var out Segment
	send := func() {
		for p.a.Next(&out, 1448, p.now) {
			p.a.Sent(&out, p.now)
		}
	}
	send()
	ack := Segment{Seq: p.a.rcvNxt, Ack: p.a.una, Flags: flagACK, Window: 0xffff}
	ack.Options.Reset()
	ack.Options.Timestamps, ack.Options.TSVal = true, p.a.tsRecent
	ack.Options.NumSACK = 3
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for j := range 3 {
			at := p.a.una.Add(2 + (3*i+j)*7919%500_000&^1)
			ack.Options.SACK[j] = header.SACKBlock{Start: uint32(at), End: uint32(at + 1)}
		}
		p.a.Input(&ack, p.now)
		send()
	}
}
