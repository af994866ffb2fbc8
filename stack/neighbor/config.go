package neighbor

import "time"

// Config holds the constants of a cache. Zero fields take the default named.
type Config struct {
	// ReachableTime is how long a confirmation lasts, before the random
	// factor of 0.5 to 1.5 (RFC 4861 section 6.3.2). Default 30 s.
	ReachableTime time.Duration
	// RetransTimer is the time between solicitations. Default 1 s, also the
	// least that RFC 1122 section 2.3.2.1 wants between ARP requests for an address.
	RetransTimer time.Duration
	// DelayFirstProbe is how long a used STALE entry waits for a hint of
	// an upper layer before it is probed. Default 5 s.
	DelayFirstProbe time.Duration
	// FailedHold is how long packets for a neighbour that did not answer
	// fail at once. Default 2 s.
	FailedHold time.Duration
	// StaleTime is how long an entry without use is kept. Default 10 min.
	StaleTime time.Duration
	// MaxMulticastSolicit and MaxUnicastSolicit bound the solicitations sent
	// without an answer. Default 3 each.
	MaxMulticastSolicit, MaxUnicastSolicit int
	// MaxEntries bounds the entries that are not permanent. Default 1024.
	MaxEntries int
	// MaxPending bounds the packets that wait for an entry (RFC 1122 section
	// 2.3.2.2 wants one at least): a datagram of 64 KiB is 45. Default 64.
	MaxPending int
	// Rand returns uniform random bits. It is called with the cache locked. Without
	// it times are not randomized.
	Rand func() uint64
}

func (c Config) withDefaults() Config {
	times := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ReachableTime, 30 * time.Second},
		{&c.RetransTimer, time.Second},
		{&c.DelayFirstProbe, 5 * time.Second},
		{&c.FailedHold, 2 * time.Second},
		{&c.StaleTime, 10 * time.Minute},
	}
	for _, t := range times {
		if *t.field <= 0 {
			*t.field = t.value
		}
	}
	counts := []struct {
		field *int
		value int
	}{
		{&c.MaxMulticastSolicit, 3},
		{&c.MaxUnicastSolicit, 3},
		{&c.MaxEntries, 1024},
		{&c.MaxPending, 64},
	}
	for _, n := range counts {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	return c
}

// reachableTime returns ReachableTime with its random factor.
func (c *Config) reachableTime() time.Duration {
	if c.Rand == nil {
		return c.ReachableTime
	}
	const steps = 1 << 16
	return c.ReachableTime/2 + c.ReachableTime/steps*time.Duration(c.Rand()%steps)
}

// Stats counts what happened in a cache.
type Stats struct {
	Created       uint64 // entries made
	Evicted       uint64 // entries dropped for another's sake
	Resolved      uint64 // times that an address became known
	Failed        uint64 // times that a neighbour did not answer
	PendingDrops  uint64 // packets dropped because too many waited
	Solicitations uint64 // multicast and unicast
	Unexpected    uint64 // advertisements for addresses without an entry
	Contradicted  uint64 // claims of another address than the one in use
	BadSender     uint64 // multicast, broadcast or zero addresses advertised
}
