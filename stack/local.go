package stack

import (
	"maps"
	"net/netip"
	"slices"
)

// isLocal reports whether a, without zone, is one of the host's addresses. All
// of 127.0.0.0/8 is.
func (h *Host) isLocal(a netip.Addr) bool {
	if a.Is4() && a.As4()[0] == 127 {
		return true
	}
	l := h.locals.Load()
	if l.few != nil {
		return slices.Contains(l.few, a)
	}
	_, ok := l.byAddr[a]
	return ok
}

// localAddrs are a host's addresses, without zones. It does not change.
type localAddrs struct {
	byAddr map[netip.Addr]*Interface
	few    []netip.Addr // all, if they are so few that this is faster
}

func newLocalAddrs(byAddr map[netip.Addr]*Interface) *localAddrs {
	l := &localAddrs{byAddr: byAddr}
	if len(byAddr) <= 8 {
		l.few = slices.Collect(maps.Keys(byAddr))
	}
	return l
}
