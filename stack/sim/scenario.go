package sim

import (
	"math/rand/v2"
	"time"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack"
)

// Scenario is what a seed decides before the run: hosts, network and the
// applications' intentions.
type Scenario struct {
	Seed      uint64
	Start     time.Duration // the clock's first reading
	Wire      wire.Config
	Calm      bool // drawn to be perfect
	IPv6      bool
	LinkLocal bool // IPv6 connections between link-local addresses
	Hosts     [2]HostPlan
	Lanes     [2]Lane // Lanes[i]: frames from host i to the other
	Conns     []ConnPlan
	Flows     []FlowPlan
	Events    []Event // in the order of their times
}

// HostPlan is how a host is configured.
type HostPlan struct {
	TCP       stack.TCPDefaults
	MTU       int           // of the interface; 0: the wire's
	PollEvery time.Duration // it is polled at most so often; 0: at once
	FlushIdle bool          // delayed ACKs go when there is nothing else to do
	Backlog   int           // of its listener; 0: default
	KeepAlive bool          // of its sockets
	Cookies   bool          // it answers each SYN by a cookie
	Memory    int64         // that its connections may hold, bytes; 0: default

	AcceptPause time.Duration // the longest pause after an Accept
}

// Lane is one direction of the link.
type Lane struct {
	fault.Faults
	// AtReceiver: the faults are on the receiver's device, not the sender's.
	// What offloads do to a frame lies between the two.
	AtReceiver bool
}

// lossy reports whether frames may fail to arrive.
func (l *Lane) lossy() bool {
	return l.Loss > 0 || l.Corrupt > 0 || l.Rate > 0 || l.Limit < plenty
}

// Ending is how an application ends a connection.
type Ending uint8

// The endings. With the first two at both ends nothing may be lost.
const (
	EndHalf     Ending = iota // CloseWrite when all is written, Close after the peer's end of file
	EndReply                  // Close when all is written and after the peer's end of file
	EndClose                  // Close at some point
	EndReset                  // Close with linger 0 at some point
	EndLinger                 // Close with a linger time when all is written
	EndShutRead               // CloseRead at some point, Close when all is written
	numEndings
)

// graceful reports whether the application waits for the peer's end of file.
func (e Ending) graceful() bool { return e <= EndReply }

func (e Ending) String() string {
	return [numEndings]string{"half", "reply", "close", "reset", "linger", "shut-read"}[e]
}

// EndPlan is what the application at one end of a connection does.
type EndPlan struct {
	Bytes       int           // to be written
	Chunk, Read int           // the largest write and read
	PauseOdds   float64       // of a pause after a write or read
	Pause       time.Duration // the longest
	Turn        int           // write so much, then wait until as much has come; 0: no turns
	Ending      Ending
	At          int     // bytes written and read before an abrupt ending
	Linger      int     // seconds, with EndLinger
	Retune      float64 // odds, after a write or read, that buffer sizes and the like are changed
	Options     stack.TCPOptions
}

// ConnPlan is a connection, or an attempt at one.
type ConnPlan struct {
	From     int // the host that dials
	Loopback bool
	After    time.Duration // since the start
	Attempts int
	Again    int  // connect so many times more from the same port
	Crossed  bool // both ends dial, none listens (RFC 9293 section 3.5)
	Refused  bool // nobody listens there
	NoHost   bool // there is no such host
	Ends     [2]EndPlan
}

// graceful reports whether both applications see the connection to its end.
func (p *ConnPlan) graceful() bool { return p.Ends[0].graceful() && p.Ends[1].graceful() }

func (e *EndPlan) graceful() bool { return e.Ending.graceful() && e.Options.UserTimeout == 0 }

// FlowPlan is a flow of UDP datagrams.
type FlowPlan struct {
	From      int
	Count     int
	Size      int // the largest payload
	Pause     time.Duration
	Connected bool
	Echo      bool // the receiver sends each back
	Refused   bool // nobody is bound there
	RcvBuf    int
}

// Event is something that happens to a host or its link.
type Event struct {
	At   time.Duration // since the start
	What What
	Host int
}

// What an event is.
type What uint8

// The kinds of event.
const (
	LinkDown What = iota // no frame comes or goes
	LinkUp
	Mute   // what the host sends is lost
	Unmute // it no longer is
	CloseListener
	CloseHost
)

// disrupted reports whether something closes a listener or host under the
// applications.
func (s *Scenario) disrupted() bool {
	for _, e := range s.Events {
		if e.What >= CloseListener {
			return true
		}
	}
	return false
}

// lossy reports whether frames may be lost: then calls may time out.
func (s *Scenario) lossy() bool {
	return s.Lanes[0].lossy() || s.Lanes[1].lossy() || len(s.Events) > 0 || s.Wire.Pool > 0
}

// hasty reports whether a host retransmits so soon that its patience ends
// within seconds.
func (s *Scenario) hasty() bool {
	for i := range s.Hosts {
		if rto := s.Hosts[i].TCP.MinRTO; rto > 0 && rto < 200*time.Millisecond {
			return true
		}
	}
	return false
}

// vainProbes is how many tail loss probes a host may send in vain: some for each
// connection whose peer acknowledges later than they reckon with, or whose round
// trips differ much, until they have learnt that.
func (s *Scenario) vainProbes() (n uint64) {
	late := false
	for i := range s.Hosts {
		h := &s.Hosts[i]
		late = late || h.TCP.DelayACK > 50*time.Millisecond || h.PollEvery+s.Lanes[i].Jitter >= 10*time.Millisecond
	}
	if !late {
		return 0
	}
	for i := range s.Conns {
		n += 4 * uint64(1+s.Conns[i].Again)
	}
	return n
}

// perfect reports whether the network does nothing but delay: then nothing may
// be sent twice, dropped or refused.
func (s *Scenario) perfect() bool {
	for i := range s.Lanes {
		l := &s.Lanes[i]
		if l.lossy() || l.Duplicate > 0 || l.Reorder > 0 || l.Delay+l.Jitter > maxQuickDelay {
			return false
		}
		if h := &s.Hosts[i]; h.Backlog > 0 || h.PollEvery > maxQuickPoll {
			return false
		}
	}
	return !s.hasty() && s.Wire.Ring == 0 && s.Wire.Pool == 0 && len(s.Events) == 0
}

// plenty is more frames than are ever under way.
const plenty = 100_000

// maxQuickDelay is a delay each way that no retransmission timer mistakes for a
// loss.
const maxQuickDelay = 50 * time.Millisecond

// maxQuickPoll is how rarely a host may be polled for the same to hold.
const maxQuickPoll = 5 * time.Millisecond

// mtu is the smallest MTU of the interfaces.
func (s *Scenario) mtu() int {
	mtu := s.Wire.MTU
	for i := range s.Hosts {
		if m := s.Hosts[i].MTU; m > 0 {
			mtu = min(mtu, m)
		}
	}
	return mtu
}

// corrupts reports whether frames are damaged.
func (s *Scenario) corrupts() bool { return s.Lanes[0].Corrupt > 0 || s.Lanes[1].Corrupt > 0 }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// upTo returns a random number from 0 to n.
func upTo[T int | time.Duration](r *rand.Rand, n T) T { return T(r.Int64N(int64(n) + 1)) }

func odds(r *rand.Rand, p float64) bool { return r.Float64() < p }
