package main

import (
	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
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
		c.Add(func() error { return oneConnection(t, buf) }, true)
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
	s.fill(&f)
	return s, nil
}

func oneConnection(t Transport, buf []byte) (err error) {
	conn, err := t.Dial()
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() {
		if e := conn.Close(); err == nil && e != nil && !errors.Is(e, net.ErrClosed) {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	if _, err := conn.Write(measure.GetClose); err != nil {
		return err
	}
	if err := measure.ReadResponse(conn, buf); err != nil {
		return err
	}
	if n, err := conn.Read(buf); n != 0 || err != io.EOF {
		return fmt.Errorf("expected the end of the connection, not %d bytes and error %v", n, err)
	}
	return nil
}
