package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// httpLoad is an HTTP server on a row and keep-alive connections to it, each
// of which has answered once.
type httpLoad struct {
	conns  []net.Conn
	faults *faults
	stop   func()
}

func openHTTP(t Transport, n int, f *faults) (*httpLoad, error) {
	l, err := t.Listen()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &httpLoad{faults: f, stop: serveHTTP(l, f)}
	buf := make([]byte, responseSize)
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

// responseSize is more than the one response takes.
const responseSize = 4096

func get(c net.Conn, buf []byte) error {
	if _, err := c.Write(getKeepAlive); err != nil {
		return err
	}
	return readResponse(c, buf)
}

// start puts a worker on each connection.
func (h *httpLoad) start() *crew {
	c := &crew{faults: h.faults}
	for _, conn := range h.conns {
		buf := make([]byte, responseSize)
		c.add(func() error { return get(conn, buf) }, false)
	}
	return c
}

func (h *httpLoad) closeConns() {
	for _, c := range h.conns {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			h.faults.add(fmt.Errorf("close: %w", err))
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
		var f faults
		h, err := openHTTP(t, n, &f)
		if err != nil {
			return Sample{}, err
		}
		c := h.start()
		s, err := c.measure(ctx, t, d, c.ops)
		c.stop(h.closeConns)
		h.close()
		if err != nil {
			return Sample{}, err
		}
		l := c.latency()
		s.P50, s.P99 = l.quantile(.50), l.quantile(.99)
		s.Value = s.perSecond()
		f.fill(&s)
		return s, nil
	}
}
