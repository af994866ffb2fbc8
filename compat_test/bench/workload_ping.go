package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// runPing measures round trips of one byte over one connection.
func runPing(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	l, err := t.Listen()
	if err != nil {
		return Sample{}, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	var f faults
	served := serveEcho(l, &f)
	conn, err := t.Dial()
	if err != nil {
		return Sample{}, fmt.Errorf("dial: %w", err)
	}
	c := &crew{faults: &f}
	b := make([]byte, 1)
	c.add(func() error { return roundTrip(conn, b) }, false)
	s, err := c.measure(ctx, t, d, c.ops)
	c.stop(func() { conn.Close() })
	conn.Close()
	if !waitFor(served) {
		f.add(errors.New("the echo server did not see the end of the connection"))
	}
	if err != nil {
		return Sample{}, err
	}
	s.P50, s.P99 = c.latency().quantile(.50), c.latency().quantile(.99)
	s.Value = s.perSecond()
	f.fill(&s)
	return s, nil
}
