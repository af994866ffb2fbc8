package stack

import (
	"iter"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// The range that ports are chosen from, Linux's default.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
	numEphemeral   = lastEphemeral - firstEphemeral + 1
)

const (
	// portSlots is how many counters the choice of ports has. Destinations share
	// them, and where they are few a stranger with many addresses soon finds which of
	// his destinations share one: that tells one host from another, wherever it goes
	// (CVE-2022-1012). So they are as many as Linux's.
	portSlots = 1 << 16
	// portNoise is by how many ports a choice goes on beyond the next, at the most
	// and at random: what others dialled cannot be counted.
	portNoise = 7
)

// portAllocator chooses ports for sockets that do not ask for one. For connections
// that is the double hash of RFC 6056 section 3.3.4: a start that is secret for each
// destination, and a counter, so that a port is long unused when it comes again.
// Counters begin at zero: start and slot are of different bits of the hash, so they
// tell nothing.
type portAllocator struct {
	host   *Host
	secret [16]byte
	slots  atomic.Pointer[[portSlots]atomic.Uint32] // of a host that has dialled
}

func (a *portAllocator) init(h *Host) {
	a.host = h
	h.cfg.Rand(a.secret[:])
}

// bind makes sure that no binding of others conflicts with b, for which it chooses a
// port, at random, if it has none.
func (a *portAllocator) bind(b *binding, others iter.Seq[binding]) error {
	if b.port != 0 {
		for o := range others {
			if o.conflicts(*b) {
				return syscall.EADDRINUSE
			}
		}
		return nil
	}
	if defect.On(defect.SamePortTwice) {
		b.port = firstEphemeral
		return nil
	}
	var taken [numEphemeral/64 + 1]uint64
	for o := range others {
		b.port = o.port
		if i := o.port - firstEphemeral; i < numEphemeral && o.conflicts(*b) {
			taken[i/64] |= 1 << (i % 64)
		}
	}
	start := uint32(a.host.randomN(numEphemeral))
	for n := range uint32(numEphemeral) {
		i := (start + n) % numEphemeral
		if taken[i/64]>>(i%64)&1 == 0 {
			b.port = firstEphemeral + uint16(i)
			return nil
		}
	}
	b.port = 0
	return syscall.EADDRINUSE
}

// pickFor looks at up to tries ports, numEphemeral being all, until use takes one for
// a connection from src to remote. series tells apart callers whose use takes
// different ports.
func (a *portAllocator) pickFor(src netip.Addr, remote netip.AddrPort, series uint16, tries int, use func(port uint16) bool) bool {
	if tries == 0 {
		return false
	}
	slots := a.slots.Load()
	for slots == nil {
		a.slots.CompareAndSwap(nil, new([portSlots]atomic.Uint32))
		slots = a.slots.Load()
	}
	h := tcp.PortHash(&a.secret, netip.AddrPortFrom(src, series), remote)
	slot := &slots[h%portSlots]
	step := 1 + uint32(a.host.randomN(portNoise+1))
	// The step is taken first, so that those who dial at the same time begin apart.
	start := uint32(h>>32) + slot.Add(step)
	for n := range uint32(tries) {
		// Without the remainder first, the sum would wrap in the middle of the range.
		if use(firstEphemeral + uint16((start%numEphemeral+n)%numEphemeral)) {
			if n > 0 {
				slot.Add(n)
			}
			return true
		}
	}
	return false
}
