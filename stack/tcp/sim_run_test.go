package tcp

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("seeds", 1500, "simulated connections")
	simFirst = flag.Uint64("seed", 1, "first seed")
	simTrace = flag.Bool("simtrace", false, "print the segments of the first seed")
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// newSim draws the hosts, the link and what the applications do.
func newSim(seed uint64) *sim {
	r := rand.New(rand.NewPCG(seed, 7))
	s := &sim{rng: r, now: time.Duration(r.Int64N(int64(60 * 24 * time.Hour)))}
	s.link = link{
		loss:    pick(r, 0, 0, 0.001, 0.01, 0.05, 0.2),
		dup:     pick(r, 0, 0, 0.01, 0.1),
		reorder: pick(r, 0, 0, 0.01, 0.1, 1),
		delay:   pick(r, 0, 10*time.Microsecond, time.Millisecond, 50*time.Millisecond, 300*time.Millisecond),
		jitter:  pick(r, 20*time.Microsecond, 5*time.Millisecond, 200*time.Millisecond),
		rate:    pick(r, 0, 0, 100_000, 10_000_000),
		burst:   pick(r, 0, 0, 30*time.Microsecond, time.Millisecond),
		until:   Never,
	}
	mtu := pick(r, 64, 536, 1460, 1460, 8960)
	total := pick(r, 0, 1, 1000, 20_000, 100_000, 300_000)
	if s.link.loss > 0.1 || s.link.rate == 100_000 || mtu == 64 {
		total = min(total, 30_000)
	}
	for i := range s.ends {
		p := &peer{s: s, id: i, mtu: mtu, halfClose: true}
		p.cfg = DefaultConfig()
		p.cfg.Pool = &s.pool
		p.cfg.SndBuf = pick(r, 1, 700, 5000, 65536, 1<<20)
		p.cfg.RcvBuf = pick(r, 1, 500, 3000, 30_000, 65535, 500_000)
		p.cfg.Timestamps = r.IntN(4) > 0
		p.cfg.SACK = r.IntN(3) > 0
		p.cfg.WindowScale = r.IntN(4) > 0
		p.cfg.NoDelay = r.IntN(3) > 0
		p.cfg.SYNRetries = 20
		p.cfg.DataRetries = 30
		p.cfg.OrphanRetries = 30
		p.cfg.MaxRTO = 20 * time.Second
		p.rcvLimit = p.cfg.RcvBuf
		p.maxRead = pick(r, 1+p.rcvLimit, 1+p.rcvLimit/10, 1<<20)
		p.maxWrite = pick(r, 1+p.cfg.SndBuf, 1+p.cfg.SndBuf/10, 100_000, 10)
		p.pause = pick(r, 0, 0, time.Millisecond, 300*time.Millisecond)
		p.tso = pick(r, mtu, 10, 65535, 20000)
		p.toWrite = r.IntN(total + 1)
		if r.IntN(3) == 0 {
			p.closeAfter = s.now + time.Duration(r.Int64N(int64(time.Second)))
		}
		p.halfClose = r.IntN(2) == 0
		if r.IntN(20) == 0 {
			p.abortAt = s.now + time.Duration(r.Int64N(int64(2*time.Second)))
		}
		s.ends[i] = p
	}
	if a, b := s.ends[0], s.ends[1]; min(a.cfg.SndBuf, a.cfg.RcvBuf, b.cfg.SndBuf, b.cfg.RcvBuf) == 1 {
		a.toWrite, b.toWrite = min(a.toWrite, 300), min(b.toWrite, 300)
	}
	if s.ends[0].maxWrite == 10 || s.ends[1].maxWrite == 10 || s.ends[0].tso == 10 || s.ends[1].tso == 10 {
		for _, p := range s.ends {
			p.toWrite = min(p.toWrite, 5000)
		}
	}
	return s
}

// run plays a seed to its end and checks what came out.
func (s *sim) run() error {
	start := s.now
	s.ends[0].connect()
	if s.rng.IntN(10) == 0 {
		s.ends[1].connect() // simultaneous open
	}
	aborts := s.ends[0].abortAt > 0 || s.ends[1].abortAt > 0
	for _, p := range s.ends {
		if err := p.pump(); err != nil {
			return err
		}
	}
	for steps := 0; ; steps++ {
		more, err := s.step()
		if err != nil {
			return fmt.Errorf("at %v: %w", s.now-start, err)
		}
		if !more {
			break
		}
		if steps > 3_000_000 || s.now-start > 24*time.Hour {
			return fmt.Errorf("no end after %d steps, %v: %v %v", steps, s.now-start, s.ends[0].c.Info(), s.ends[1].c.Info())
		}
	}
	for _, p := range s.ends {
		if p.open && aborts {
			// The RST was lost, and the application waits for good.
			p.c.Release()
			p.open = false
		}
		if p.open {
			return fmt.Errorf("peer %d still in %v", p.id, p.c.state)
		}
		if p.c.Deadline() != Never {
			return fmt.Errorf("peer %d: deadline after Release", p.id)
		}
	}
	if n := s.pool.InUse(); n != 0 {
		return fmt.Errorf("%d chunks in use", n)
	}
	if aborts {
		return nil
	}
	for _, p := range s.ends {
		other := s.ends[1-p.id]
		if p.received != other.written || other.toWrite != 0 || !p.eof {
			return fmt.Errorf("peer %d received %d of %d, EOF %v, err %v, other's %v", p.id, p.received, other.written+other.toWrite, p.eof, p.err, other.err)
		}
	}
	return nil
}

func TestSimulatedConnections(t *testing.T) {
	n := *simSeeds
	if testing.Short() {
		n /= 10
	}
	var virtual time.Duration
	packets := 0
	var seen Info
	for seed := *simFirst; seed < *simFirst+uint64(n); seed++ {
		s := newSim(seed)
		if *simTrace && seed == *simFirst {
			s.trace = t.Logf
		}
		start := s.now
		if err := s.run(); err != nil {
			t.Fatalf("seed %d: %v\nlink %+v", seed, err, s.link)
		}
		virtual += s.now - start
		packets += s.packets
		for _, p := range s.ends {
			i := p.c.Info()
			seen.Retransmits += i.Retransmits
			seen.LossProbes += i.LossProbes
			seen.Timeouts += i.Timeouts
			seen.Recoveries += i.Recoveries
			seen.OutOfOrder += i.OutOfOrder
			seen.Duplicates += i.Duplicates
			seen.PAWS += i.PAWS
		}
	}
	t.Logf("%d connections, %d packets, %v of virtual time: %d retransmissions, %d probes, %d timeouts, %d recoveries, %d out of order, %d duplicates, %d PAWS",
		n, packets, virtual, seen.Retransmits, seen.LossProbes, seen.Timeouts, seen.Recoveries, seen.OutOfOrder, seen.Duplicates, seen.PAWS)
}
