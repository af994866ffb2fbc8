package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// besideConns is the load of the http64 workload.
const besideConns = 64

// runBeside measures what a saturated stack does to the rest of the process:
// the round trip of an echo over a kernel socket, first while the stack's
// connections are idle and then while all of them are busy. The Go scheduler
// looks at the kernel's sockets only when a processor runs out of goroutines,
// or every 10 ms: a poller that never parks starves them.
func runBeside(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	var f measure.Faults
	h, err := openHTTP(t, besideConns, &f)
	if err != nil {
		return Sample{}, err
	}
	s, err := echoBeside(ctx, t, h, d)
	h.close()
	if err != nil {
		return Sample{}, err
	}
	s.Value = float64(s.P50) / float64(time.Microsecond)
	s.Fill(&f)
	return s, nil
}

func echoBeside(ctx context.Context, t Transport, h *httpLoad, d time.Duration) (Sample, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return Sample{}, fmt.Errorf("listen in the kernel: %w", err)
	}
	defer l.Close()
	served := measure.ServeEcho(l, h.faults)
	echo, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return Sample{}, fmt.Errorf("dial in the kernel: %w", err)
	}
	defer func() {
		echo.Close()
		if !measure.WaitFor(served) {
			h.faults.Add(errors.New("the kernel's echo server did not see the end of the connection"))
		}
	}()

	if err := measure.Sleep(ctx, measure.WarmUp(d)); err != nil {
		return Sample{}, err
	}
	rest := echoFor(ctx, echo, d, h.faults)

	c := h.start()
	loaded := make(chan *measure.Histogram, 1)
	go func() {
		if measure.Sleep(ctx, measure.WarmUp(d)) == nil {
			loaded <- echoFor(ctx, echo, d, h.faults)
		}
		close(loaded)
	}()
	s, err := count(ctx, c, t, d, c.Ops)
	during := <-loaded
	c.Stop(h.closeConns)
	if err != nil {
		return Sample{}, err
	}
	if during == nil {
		return Sample{}, ctx.Err()
	}
	s.RestP50, s.RestP99 = rest.Quantile(.50), rest.Quantile(.99)
	s.P50, s.P99 = during.Quantile(.50), during.Quantile(.99)
	return s, nil
}

// echoPause is the time between two echoes: they are there to be delayed, not
// to be a load of their own.
const echoPause = time.Millisecond

// echoFor makes round trips for d, or until ctx ends.
func echoFor(ctx context.Context, c net.Conn, d time.Duration, f *measure.Faults) *measure.Histogram {
	h := &measure.Histogram{}
	b := make([]byte, 1)
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		start := time.Now()
		if err := measure.RoundTrip(c, b); err != nil {
			f.Add(fmt.Errorf("echo in the kernel: %w", err))
			break
		}
		h.Record(time.Since(start))
		time.Sleep(echoPause)
	}
	return h
}
