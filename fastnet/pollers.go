package fastnet

import (
	"runtime"
	"sync"

	"github.com/fastnet-go/fastnet/stack"
)

// pollers are the process's own: networks that bring none share them. There are
// at most GOMAXPROCS-1, for hot pollers on all processors would starve Go's
// network poller, and at least one. A poller ends with the last of its networks.
var pollers struct {
	sync.Mutex
	list []*sharedPoller
}

type sharedPoller struct {
	*stack.Poller
	networks int
}

// acquirePoller returns the poller with the fewest networks, or a new one.
func acquirePoller() *sharedPoller {
	pollers.Lock()
	defer pollers.Unlock()
	var least *sharedPoller
	for _, p := range pollers.list {
		if least == nil || p.networks < least.networks {
			least = p
		}
	}
	if least == nil || len(pollers.list) < runtime.GOMAXPROCS(0)-1 {
		least = &sharedPoller{Poller: stack.NewPoller(stack.PollerConfig{})}
		pollers.list = append(pollers.list, least)
	}
	least.networks++
	return least
}

// release gives a poller back, which no longer drives the network's host.
func (p *sharedPoller) release() {
	pollers.Lock()
	p.networks--
	last := p.networks == 0
	for i, q := range pollers.list {
		if q == p && last {
			pollers.list = append(pollers.list[:i], pollers.list[i+1:]...)
			break
		}
	}
	pollers.Unlock()
	if last {
		p.Close()
	}
}
