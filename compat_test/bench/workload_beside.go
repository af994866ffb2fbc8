package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// besideConns is the load of the http64 workload.
const besideConns = 64

// runBeside measures what a saturated stack does to the rest of the process:
// the round trip of an echo over a kernel socket, first while the stack's
// connections are idle and then while all of them are busy. The Go scheduler
// looks at the kernel's sockets only when a processor runs out of goroutines,
// or every 10 ms: a poller that never parks starves them.
func runBeside(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	var f faults
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
	f.fill(&s)
	return s, nil
}

func echoBeside(ctx context.Context, t Transport, h *httpLoad, d time.Duration) (Sample, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return Sample{}, fmt.Errorf("listen in the kernel: %w", err)
	}
	defer l.Close()
	served := serveEcho(l, h.faults)
	echo, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return Sample{}, fmt.Errorf("dial in the kernel: %w", err)
	}
	defer func() {
		echo.Close()
		if !waitFor(served) {
			h.faults.add(errors.New("the kernel's echo server did not see the end of the connection"))
		}
	}()

	if err := sleep(ctx, warmUp(d)); err != nil {
		return Sample{}, err
	}
	rest := echoFor(ctx, echo, d, h.faults)

	c := h.start()
	loaded := make(chan *histogram, 1)
	go func() {
		if sleep(ctx, warmUp(d)) == nil {
			loaded <- echoFor(ctx, echo, d, h.faults)
		}
		close(loaded)
	}()
	s, err := c.measure(ctx, t, d, c.ops)
	during := <-loaded
	c.stop(h.closeConns)
	if err != nil {
		return Sample{}, err
	}
	if during == nil {
		return Sample{}, ctx.Err()
	}
	s.RestP50, s.RestP99 = rest.quantile(.50), rest.quantile(.99)
	s.P50, s.P99 = during.quantile(.50), during.quantile(.99)
	return s, nil
}

// echoPause is the time between two echoes: they are there to be delayed, not
// to be a load of their own.
const echoPause = time.Millisecond

// echoFor makes round trips for d, or until ctx ends.
func echoFor(ctx context.Context, c net.Conn, d time.Duration, f *faults) *histogram {
	h := &histogram{}
	b := make([]byte, 1)
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		start := time.Now()
		if err := roundTrip(c, b); err != nil {
			f.add(fmt.Errorf("echo in the kernel: %w", err))
			break
		}
		h.record(time.Since(start))
		time.Sleep(echoPause)
	}
	return h
}
