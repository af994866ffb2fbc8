package stack

import (
	"sync/atomic"
	"syscall"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// The range that ports are chosen from, Linux's default.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
	numEphemeral   = lastEphemeral - firstEphemeral + 1
)

// portAllocator chooses ports for sockets that do not ask for one. The start is
// random for each destination and the next choice for it follows on (RFC 6056
// section 3.3.4, double hash), so that a port is long unused when it comes again
// and a stranger cannot guess it.
type portAllocator struct {
	host  *Host
	steps [256]atomic.Uint32
}

func (a *portAllocator) init(h *Host) { a.host = h }

// pick tries ports, from a random one on, until use takes one.
func (a *portAllocator) pick(use func(port uint16) bool) bool {
	return pickFrom(uint32(a.host.randomN(numEphemeral)), use)
}

// bind makes sure that b is free, choosing a port if it has none.
func (a *portAllocator) bind(b *binding, free func(binding) bool) error {
	if b.port != 0 {
		if free(*b) {
			return nil
		}
		return syscall.EADDRINUSE
	}
	if defect.On(defect.SamePortTwice) {
		b.port = firstEphemeral
		return nil
	}
	if a.pick(func(port uint16) bool {
		b.port = port
		return free(*b)
	}) {
		return nil
	}
	return syscall.EADDRINUSE
}

// pickFor is pick for a connection to the remote address of k. series tells apart
// callers whose use takes different ports, tries is how many ports they look at.
// Each try takes a step, so that no port comes again before all others have had
// their turn.
func (a *portAllocator) pickFor(k *tuple, series uint8, tries int, use func(port uint16) bool) bool {
	dest := *k
	dest.localPort = 0 // that of a try before
	h := dest.hash(&a.host.flows.key)
	step := &a.steps[uint8(h>>56)+series]
	for range tries {
		if use(firstEphemeral + uint16((uint32(h)+step.Add(1))%numEphemeral)) {
			return true
		}
	}
	return false
}

func pickFrom(start uint32, use func(port uint16) bool) bool {
	for i := range uint32(numEphemeral) {
		if use(firstEphemeral + uint16((start+i)%numEphemeral)) {
			return true
		}
	}
	return false
}
