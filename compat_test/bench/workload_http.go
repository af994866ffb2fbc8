package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// httpLoad is an HTTP server on a row and keep-alive connections to it, each
// of which has answered once.
type httpLoad struct {
	conns  []net.Conn
	faults *measure.Faults
	stop   func()
}

func openHTTP(t Transport, n int, f *measure.Faults) (*httpLoad, error) {
	l, err := t.Listen()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &httpLoad{faults: f, stop: measure.ServeHTTP(l, f)}
	buf := make([]byte, measure.ResponseSize)
	for range n {
		c, err := t.Dial()
		if err != nil {
			h.close()
			return nil, fmt.Errorf("dial: %w", err)
		}
		h.conns = append(h.conns, c)
		if err := get(c, buf); err != nil {
			h.close()
			return nil, fmt.Errorf("first request: %w", err)
		}
	}
	return h, nil
}

func get(c net.Conn, buf []byte) error {
	if _, err := c.Write(measure.GetKeepAlive); err != nil {
		return err
	}
	return measure.ReadResponse(c, buf)
}

// start puts a worker on each connection.
func (h *httpLoad) start() *measure.Crew {
	c := &measure.Crew{Faults: h.faults}
	for _, conn := range h.conns {
		buf := make([]byte, measure.ResponseSize)
		c.Add(func() error { return get(conn, buf) }, false)
	}
	return c
}

func (h *httpLoad) closeConns() {
	for _, c := range h.conns {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.faults.Add(fmt.Errorf("close: %w", err))
		}
	}
}

func (h *httpLoad) close() {
	h.closeConns()
	h.stop()
}

// runHTTP measures requests a second over n keep-alive connections.
func runHTTP(n int) func(context.Context, Transport, time.Duration) (Sample, error) {
	return func(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
		var f measure.Faults
		h, err := openHTTP(t, n, &f)
		if err != nil {
			return Sample{}, err
		}
		c := h.start()
		s, err := count(ctx, c, t, d, c.Ops)
		c.Stop(h.closeConns)
		h.close()
		if err != nil {
			return Sample{}, err
		}
		l := c.Latency()
		s.P50, s.P99 = l.Quantile(.50), l.Quantile(.99)
		s.Value = s.perSecond()
		s.Fill(&f)
		return s, nil
	}
}
