package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// runPing measures round trips of one byte over one connection.
func runPing(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	l, err := t.Listen()
	if err != nil {
		return Sample{}, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	var f measure.Faults
	served := measure.ServeEcho(l, &f)
	conn, err := t.Dial()
	if err != nil {
		return Sample{}, fmt.Errorf("dial: %w", err)
	}
	c := &measure.Crew{Faults: &f}
	b := make([]byte, 1)
	c.Add(func() error { return measure.RoundTrip(conn, b) }, false)
	s, err := count(ctx, c, t, d, c.Ops)
	c.Stop(func() { conn.Close() })
	conn.Close()
	if !measure.WaitFor(served) {
		f.Add(errors.New("the echo server did not see the end of the connection"))
	}
	if err != nil {
		return Sample{}, err
	}
	s.P50, s.P99 = c.Latency().Quantile(.50), c.Latency().Quantile(.99)
	s.Value = s.perSecond()
	s.Fill(&f)
	return s, nil
}
