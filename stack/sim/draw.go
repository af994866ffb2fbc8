package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
	"github.com/fastnet-go/fastnet/stack/header"
)

// How bad a direction of the link is.
const (
	perfect = iota
	mild
	bad
	awful
)

// Draw makes the scenario of a seed. What a seed means changes with this
// function: a failure that is to stay is kept as a test, not as a number.
func Draw(seed uint64) *Scenario {
	r := rand.New(rand.NewPCG(seed, 0x5ce9a210))
	s := &Scenario{Seed: seed}
	s.Start = pick(r, time.Second, time.Hour, 60*24*time.Hour) + upTo(r, time.Hour)
	s.IPv6 = odds(r, 0.4)
	s.LinkLocal = s.IPv6 && odds(r, 0.15)
	s.Calm = odds(r, 0.25)
	drawWire(r, s)
	level := pick(r, perfect, mild, mild, mild, bad, bad, awful)
	for i := range s.Lanes {
		if odds(r, 0.2) {
			level = r.IntN(awful + 1)
		}
		if s.Calm {
			level = perfect
		}
		s.Lanes[i] = drawLane(r, level)
	}
	for i := range s.Hosts {
		s.Hosts[i] = drawHost(r, s)
	}
	budget := drawBudget(r, s)
	n := pick(r, 1, 1, 1, 2, 3, 5)
	for range n {
		s.Conns = append(s.Conns, drawConn(r, s, budget/n))
	}
	if odds(r, 0.3) {
		for range pick(r, 1, 1, 2) {
			s.Flows = append(s.Flows, drawFlow(r, s))
		}
	}
	if !s.Calm && odds(r, 0.1) {
		drawEvents(r, s)
	}
	for i := range s.Hosts {
		// Where the ACK of a handshake may be lost, or dropped for a full accept
		// queue, a dialler that waits for the other end to speak would wait for ever.
		// Nor can a cookie name a tiny MSS.
		s.Hosts[i].Cookies = s.perfect() && s.mtu() >= 296 && odds(r, 0.2)
		if !s.perfect() && odds(r, 0.1) {
			s.Hosts[i].Memory = pick(r, int64(10_000), 50_000, 200_000)
		}
	}
	if s.Wire.Queues > 1 && odds(r, 0.5) {
		key := make([]byte, header.ToeplitzKeyLen)
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		s.Wire.Hash = func(frame []byte) uint32 { return header.ReceiveHash(key, frame) }
		if odds(r, 0.5) {
			s.Wire.HashKey = key
		}
	}
	return s
}

func drawWire(r *rand.Rand, s *Scenario) {
	s.Wire = wire.Config{
		MTU:    pick(r, 1280, 1500, 1500, 1500, 4096, 9000),
		Queues: pick(r, 1, 1, 1, 2, 3),
	}
	if !s.IPv6 && odds(r, 0.2) {
		s.Wire.MTU = pick(r, 296, 576)
	}
	switch r.IntN(4) {
	case 0:
		s.Wire.Checksum = true
	case 1:
		s.Wire.TSO = true
	}
	if s.Calm {
		return
	}
	if odds(r, 0.15) {
		s.Wire.Ring = pick(r, 4, 16, 64)
	}
	if odds(r, 0.15) {
		s.Wire.Pool = pick(r, 64, 100, 300)
	}
}

func drawLane(r *rand.Rand, level int) Lane {
	l := Lane{AtReceiver: odds(r, 0.3)}
	l.Delay = pick(r, 0, 0, 10*time.Microsecond, time.Millisecond, 20*time.Millisecond)
	if odds(r, 0.3) {
		l.Jitter = pick(r, time.Microsecond, time.Millisecond, 20*time.Millisecond)
	}
	f := &l.Faults
	f.Limit = plenty
	if level == perfect {
		return l
	}
	f.CorruptFrom = pick(r, 0, 14, 14)
	if odds(r, 0.2) {
		f.Delay = pick(r, 100*time.Millisecond, 300*time.Millisecond)
	}
	f.ReorderDelay = pick(r, 0, 100*time.Microsecond, 5*time.Millisecond, 200*time.Millisecond)
	most := []struct{ loss, corrupt, duplicate, reorder float64 }{
		mild:  {0.01, 0.005, 0.01, 0.02},
		bad:   {0.05, 0.02, 0.05, 0.1},
		awful: {0.20, 0.05, 0.2, 0.5},
	}[level]
	for _, v := range []struct {
		field *float64
		most  float64
	}{{&f.Loss, most.loss}, {&f.Corrupt, most.corrupt}, {&f.Duplicate, most.duplicate}, {&f.Reorder, most.reorder}} {
		if odds(r, 0.6) {
			*v.field = v.most * pick(r, 0.1, 0.5, 1, 1)
		}
	}
	if odds(r, 0.25) {
		f.Rate = pick(r, int64(100_000), 1_000_000, 20_000_000, 1_000_000_000)
		f.Queue = pick(r, 5_000, 30_000, 0)
	}
	if odds(r, 0.1) {
		f.Limit = pick(r, 5, 50)
	}
	return l
}

func drawHost(r *rand.Rand, s *Scenario) HostPlan {
	h := HostPlan{
		FlushIdle: odds(r, 0.6),
		KeepAlive: odds(r, 0.1),
	}
	h.TCP = stack.TCPDefaults{
		NoSACK: odds(r, 0.25), NoTS: odds(r, 0.25), NoScaling: odds(r, 0.25),
		MinRTO:   pick(r, 0, 0, 200*time.Millisecond, time.Second, 10*time.Millisecond),
		DelayACK: pick(r, 0, 0, 5*time.Millisecond, 100*time.Millisecond),
		TimeWait: pick(r, time.Second, 10*time.Second, time.Minute),
		RcvBuf:   drawBuffer(r),
		SndBuf:   drawBuffer(r),
	}
	if odds(r, 0.2) {
		least := 68
		if s.IPv6 {
			least = 1280
		}
		h.MTU = max(least, s.Wire.MTU-upTo(r, s.Wire.MTU/2))
	}
	if odds(r, 0.3) {
		h.PollEvery = pick(r, 10*time.Microsecond, time.Millisecond, maxQuickPoll, maxQuickPoll, 300*time.Millisecond)
	}
	if s.Wire.Ring > 0 { // else a ring of four is a network of some frames a second
		h.PollEvery = min(h.PollEvery, maxQuickPoll)
	}
	if s.Calm {
		h.PollEvery = min(h.PollEvery, maxQuickPoll)
		if h.TCP.MinRTO < 200*time.Millisecond {
			h.TCP.MinRTO = 0
		}
		return h
	}
	if odds(r, 0.1) {
		h.Backlog = pick(r, 1, 2)
	}
	if odds(r, 0.2) {
		h.AcceptPause = pick(r, time.Millisecond, 100*time.Millisecond)
	}
	return h
}

func drawBuffer(r *rand.Rand) int {
	switch r.IntN(6) {
	case 0:
		return 1 + r.IntN(3000)
	case 1:
		return 2048 + r.IntN(8000)
	case 2:
		return pick(r, 65535, 65536, 65537)
	case 3:
		return 16<<10 + r.IntN(200<<10)
	}
	return 0
}

// drawBudget is about how many bytes all connections of a scenario may carry,
// so that no seed takes long.
func drawBudget(r *rand.Rand, s *Scenario) int {
	budget := pick(r, 3_000, 30_000, 100_000, 300_000, 600_000)
	if s.perfect() && odds(r, 0.1) {
		budget = 2_000_000
	}
	for i := range s.Lanes {
		l, h := &s.Lanes[i], &s.Hosts[i]
		if l.Loss+l.Corrupt > 0.05 || l.Rate > 0 && l.Rate < 1_000_000 || l.Reorder > 0.1 {
			budget = min(budget, 100_000)
		}
		for _, b := range []int{h.TCP.RcvBuf, h.TCP.SndBuf} {
			if b > 0 {
				budget = min(budget, 200*b+1000)
			}
		}
		if h.MTU > 0 {
			budget = min(budget, 300*h.MTU)
		}
	}
	return budget
}

func drawConn(r *rand.Rand, s *Scenario, budget int) ConnPlan {
	p := ConnPlan{From: pick(r, 0, 1, 1, 1), After: pick(r, 0, 0, upTo(r, time.Second)), Attempts: 4}
	switch r.IntN(30) {
	case 0:
		p.Refused = true
	case 1:
		p.NoHost = true
	case 2:
		p.Loopback = true
		s.Hosts[p.From].PollEvery = 0 // a loopback interface does not tell when frames wait
	case 3, 4:
		p.Crossed = true
	case 5, 6, 7:
		p.Again = pick(r, 1, 2, 4)
	}
	abrupt := odds(r, 0.25)
	for i := range p.Ends {
		p.Ends[i] = drawEnd(r, &s.Hosts[i], budget/(1+p.Again))
		if abrupt && odds(r, 0.6) {
			p.Ends[i].Ending = pick(r, EndClose, EndClose, EndReset, EndLinger, EndShutRead)
		}
	}
	a, b := &p.Ends[0], &p.Ends[1]
	if p.Again > 0 || p.Crossed {
		// One after the other from one port: each must come to its end.
		a.Ending, b.Ending = EndHalf, EndHalf
		a.Options.UserTimeout, b.Options.UserTimeout = 0, 0
	}
	if a.Ending.graceful() && b.Ending.graceful() && odds(r, 0.4) {
		if odds(r, 0.5) {
			a, b = b, a
		}
		a.Ending = EndReply
	}
	// A slow reader must not outlast the patience of a peer that has closed.
	a.Bytes, b.Bytes = min(a.Bytes, 1000*b.Read), min(b.Bytes, 1000*a.Read)
	if odds(r, 0.2) {
		turn, n := 1+r.IntN(3000), min(max(a.Bytes, b.Bytes), 1000*a.Read, 1000*b.Read)
		a.Turn, b.Turn = turn, turn
		a.Bytes, b.Bytes = n, n
	}
	for i := range p.Ends {
		p.Ends[i].At = upTo(r, a.Bytes+b.Bytes)
	}
	return p
}

func drawEnd(r *rand.Rand, h *HostPlan, budget int) EndPlan {
	e := EndPlan{
		Bytes:     pick(r, 0, 1, upTo(r, budget/10), upTo(r, budget), budget),
		Chunk:     pick(r, 1+r.IntN(100), 1500, 20_000, 1<<20),
		Read:      pick(r, 1+r.IntN(100), 1500, 20_000, 1<<20),
		PauseOdds: pick(r, 0, 0, 0.01, 0.1, 0.5),
		Pause:     pick(r, 100*time.Microsecond, 10*time.Millisecond, 500*time.Millisecond),
		Linger:    pick(r, 1, 5),
	}
	e.Bytes = min(e.Bytes, 1000*e.Chunk)
	if e.Read < 200 {
		e.Pause = min(e.Pause, 50*time.Millisecond)
	}
	e.Options.Delay = odds(r, 0.3)
	if odds(r, 0.1) {
		e.Options.RcvBuf = 2048 + r.IntN(5000)
	}
	if odds(r, 0.1) {
		e.Options.SndBuf = 2048 + r.IntN(5000)
	}
	if odds(r, 0.1) {
		e.Retune = pick(r, 0.01, 0.1)
	}
	if odds(r, 0.03) {
		e.Options.UserTimeout = pick(r, time.Second, 10*time.Second)
	}
	if h.KeepAlive {
		e.Options.KeepAlive = stack.KeepAlive{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 9}
	}
	return e
}

// maxFragments is how many fragments of a datagram a host takes.
const maxFragments = 128

func drawFlow(r *rand.Rand, s *Scenario) FlowPlan {
	f := FlowPlan{
		From:      r.IntN(2),
		Count:     1 + r.IntN(60),
		Size:      pick(r, 16, 500, s.Wire.MTU, 3*s.Wire.MTU, 20_000),
		Pause:     pick(r, 0, 100*time.Microsecond, 10*time.Millisecond, 200*time.Millisecond),
		Connected: odds(r, 0.5),
		Echo:      odds(r, 0.3),
		RcvBuf:    pick(r, 0, 0, 20_000),
	}
	f.Size = min(f.Size, 20_000)
	if odds(r, 0.15) {
		f.Refused, f.Connected = true, true
	}
	if odds(r, 0.05) {
		f.Size, f.Count = 65_507, 3
	}
	f.Size = min(f.Size, maxFragments*(s.mtu()-header.IPv6Len-header.IPv6FragmentLen)/2)
	return f
}

func drawEvents(r *rand.Rand, s *Scenario) {
	at := upTo(r, 2*time.Second)
	host := r.IntN(2)
	switch r.IntN(6) {
	case 0, 1:
		s.Events = append(s.Events, Event{at, LinkDown, host}, Event{at + upTo(r, 10*time.Second), LinkUp, host})
	case 2, 3:
		s.Events = append(s.Events, Event{at, Mute, host}, Event{at + upTo(r, 10*time.Second), Unmute, host})
	case 4:
		s.Events = append(s.Events, Event{at, CloseListener, host})
	case 5:
		s.Events = append(s.Events, Event{at, CloseHost, host})
	}
	slices.SortStableFunc(s.Events, func(a, b Event) int { return int(a.At - b.At) })
}
