package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// connWorkers is how many connections are being made at a time.
const connWorkers = 16

// runConn measures connections a second, each with one request. The client
// waits for the server's end of the connection before it closes its own: then
// TIME-WAIT is the server's (RFC 9293, section 3.6), no row runs out of ports,
// and a lost FIN shows as an error.
func runConn(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	l, err := t.Listen()
	if err != nil {
		return Sample{}, fmt.Errorf("listen: %w", err)
	}
	var f measure.Faults
	stop := measure.ServeHTTP(l, &f)
	c := &measure.Crew{Faults: &f}
	for range connWorkers {
		buf := make([]byte, measure.ResponseSize)
		c.Add(func() error { return measure.OneConnection(t.Dial, buf) }, true)
	}
	s, err := count(ctx, c, t, d, c.Ops)
	c.Stop(stop)
	stop()
	if err != nil {
		return Sample{}, err
	}
	lat := c.Latency()
	s.P50, s.P99 = lat.Quantile(.50), lat.Quantile(.99)
	s.Value = s.perSecond()
	s.Fill(&f)
	return s, nil
}
