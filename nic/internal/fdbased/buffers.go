package fdbased

import (
	"errors"

	"github.com/fastnet-go/fastnet/nic"
)

const (
	largePart = 16 << 10 // the parts behind the first of a large frame received

	// Spill is how many of them there may be: with the first part, room for
	// 64 KiB.
	Spill = 4
)

// Buffers are a device's pools. Receiving has its own: a slow reader never stops
// a sender.
type Buffers struct {
	RxSmall *nic.Pool   // for frames of up to the MTU
	RxLarge *nic.Pool   // for what spills over; nil if super-segments do not come
	Tx      []*nic.Pool // small, and large if super-segments may be sent
}

// BufferConfig says how large and how many they are.
type BufferConfig struct {
	MTU   int    // of the frames that small ones take
	Small int    // of each direction
	Large int    // parts to receive super-segments in; 0: there are none
	Super bool   // super-segments are sent
	Freed func() // nic.PoolConfig.Freed

	// Memory, if it is set, gives each pool its memory in one piece, at once.
	Memory func(size int) ([]byte, error)
}

// MakeBuffers makes the pools.
func (b *Buffers) MakeBuffers(cfg BufferConfig) error {
	var failed error
	pool := func(p nic.PoolConfig) *nic.Pool {
		p.Headroom, p.Freed = Headroom, cfg.Freed
		if cfg.Memory != nil {
			p.Slab, p.Memory = p.Max, cfg.Memory
		}
		l, err := nic.NewPool(p)
		if err == nil && cfg.Memory != nil {
			l.Get().Release()
			err = l.Err()
		}
		failed = errors.Join(failed, err)
		return l
	}
	small := nic.PoolConfig{
		// One byte more than the largest frame: a buffer that is full then tells
		// that a frame was cut off.
		BufferSize: max(2048, (Headroom+EthernetHeader+cfg.MTU+1+63)&^63),
		Max:        cfg.Small,
	}
	b.RxSmall = pool(small)
	b.Tx = append(b.Tx, pool(small))
	if cfg.Large > 0 {
		b.RxLarge = pool(nic.PoolConfig{BufferSize: Headroom + largePart, Max: cfg.Large, Slab: 8})
	}
	if cfg.Super {
		b.Tx = append(b.Tx, pool(nic.PoolConfig{
			BufferSize: (Headroom + MaxFrame + 63) &^ 63, Max: max(16, cfg.Small/16), Slab: 2,
		}))
	}
	return failed
}

// inUse is the number of buffers that are out.
func (b *Buffers) inUse() int {
	n := 0
	for _, l := range append([]*nic.Pool{b.RxSmall, b.RxLarge}, b.Tx...) {
		if l != nil {
			n += l.InUse()
		}
	}
	return n
}

// Stock hands out a pool's packets one by one and takes them many at a time, for
// one lock. It belongs to one goroutine at a time.
type Stock struct {
	Pool *nic.Pool // nil: always out of stock

	n    int
	pkts [Batch]*nic.Packet
}

// Get returns a packet, or nil. want is how many of them will be asked for before
// long, this one included: more are not taken.
func (s *Stock) Get(want int) *nic.Packet {
	if s.n == 0 && s.Pool != nil {
		s.n = s.Pool.GetBatch(s.pkts[:max(1, min(want, Batch))])
	}
	if s.n == 0 {
		return nil
	}
	s.n--
	p := s.pkts[s.n]
	s.pkts[s.n] = nil
	return p
}

// Len is the number of packets in stock.
func (s *Stock) Len() int { return s.n }

// Release gives them back.
func (s *Stock) Release() {
	for _, p := range s.pkts[:s.n] {
		p.Release()
	}
	clear(s.pkts[:s.n])
	s.n = 0
}
