package main

import (
	"context"
	"runtime"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A reading is the state of the process's and the link's counters.
type reading struct {
	at      time.Time
	cpu     time.Duration // user and system time of the whole process
	mallocs uint64        // objects allocated since the process started
	packets uint64
	ops     uint64
}

// read takes a reading. The statistics of the heap are exact, which stops the
// world for some microseconds; ops is called last, right beside the clock.
func read(t Transport, ops func() uint64) reading {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r := reading{mallocs: m.Mallocs, packets: t.Packets(), cpu: processCPU()}
	r.ops, r.at = ops(), time.Now()
	return r
}

// sampleBetween turns two readings into what happened between them.
func sampleBetween(from, to reading) Sample {
	return Sample{
		Wall:    to.at.Sub(from.at),
		CPU:     to.cpu - from.cpu,
		Mallocs: to.mallocs - from.mallocs,
		Packets: to.packets - from.packets,
		Ops:     to.ops - from.ops,
	}
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// count lets the crew work and returns the sample of d. The operations are
// those that ops returns, which need not be the crew's own.
func count(ctx context.Context, c *measure.Crew, t Transport, d time.Duration, ops func() uint64) (Sample, error) {
	var from, to reading
	err := c.Count(ctx, d, func() { from = read(t, ops) }, func() { to = read(t, ops) })
	if err != nil {
		return Sample{}, err
	}
	return sampleBetween(from, to), nil
}
