package reassembly

import "time"

// Config bounds a [Table]. Zero fields take the value of [DefaultIPv4].
type Config struct {
	// Lifetime is how long a datagram may take from its first fragment to
	// arrive to completion.
	Lifetime time.Duration
	// MaxBytes bounds the memory of all datagrams, MaxPairBytes that of those with
	// the same source and destination.
	MaxBytes, MaxPairBytes int
	// MaxDatagrams bounds the number of incomplete datagrams.
	MaxDatagrams int
	// MaxFragments bounds the fragments of one datagram.
	MaxFragments int
}

// DefaultIPv4 returns limits for IPv4: 30 s, 4 MiB, 1 MiB a pair, 1024 datagrams
// of up to 128 fragments (64 KiB take 119 with the MTU 576). RFC 1122 section
// 3.3.2 recommends 60 s to 120 s; at today's rates an identification is used
// again long before, and hosts use 30 s.
func DefaultIPv4() Config {
	return Config{
		Lifetime:     30 * time.Second,
		MaxBytes:     4 << 20,
		MaxPairBytes: 1 << 20,
		MaxDatagrams: 1024,
		MaxFragments: 128,
	}
}

// DefaultIPv6 returns limits for IPv6: those of IPv4, and the 60 s of RFC 8200
// section 4.5.
func DefaultIPv6() Config {
	c := DefaultIPv4()
	c.Lifetime = 60 * time.Second
	return c
}

func (c Config) withDefaults() Config {
	d := DefaultIPv4()
	if c.Lifetime <= 0 {
		c.Lifetime = d.Lifetime
	}
	for _, f := range []struct {
		field *int
		value int
	}{
		{&c.MaxBytes, d.MaxBytes},
		{&c.MaxPairBytes, d.MaxPairBytes},
		{&c.MaxDatagrams, d.MaxDatagrams},
		{&c.MaxFragments, d.MaxFragments},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}

// Stats counts what happened in a [Table]: fragments by fate, then datagrams.
type Stats struct {
	Fragments  uint64 // given to Add
	Duplicates uint64 // ignored, the same had come before
	BadLength  uint64 // dropped: length or offset cannot be a fragment's
	TooBig     uint64 // dropped: beyond the largest datagram
	Refused    uint64 // dropped: of an IPv6 datagram that had been dropped

	Completed        uint64
	Overlapped       uint64 // dropped: fragments contradict each other
	TooManyFragments uint64 // dropped
	MixedECN         uint64 // dropped: RFC 3168 section 5.3
	NoMemory         uint64 // dropped: does not fit even alone
	TimedOut         uint64
	EvictedBytes     uint64 // evicted for MaxBytes
	EvictedPair      uint64 // evicted for MaxPairBytes
	EvictedCount     uint64 // evicted for MaxDatagrams
}
