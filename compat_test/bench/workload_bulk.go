package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

const (
	bulkWrite = 64 << 10 // bytes a Write, and an operation of the workload
	bulkRead  = 128 << 10
)

// runBulk measures one stream. What counts is what the receiver has read; at
// the end all that was written must have arrived.
func runBulk(ctx context.Context, t Transport, d time.Duration) (Sample, error) {
	l, err := t.Listen()
	if err != nil {
		return Sample{}, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	var f measure.Faults
	var sent, received atomic.Uint64
	served := measure.ServeOne(l, &f, "receiver", bulkRead, func(_ net.Conn, b []byte) error {
		received.Add(uint64(len(b)))
		return nil
	})
	conn, err := t.Dial()
	if err != nil {
		return Sample{}, fmt.Errorf("dial: %w", err)
	}
	c := &measure.Crew{Faults: &f}
	b := make([]byte, bulkWrite)
	c.Add(func() error {
		n, err := conn.Write(b)
		sent.Add(uint64(n))
		return err
	}, false)
	s, err := count(ctx, c, t, d, received.Load)
	c.Stop(func() { conn.Close() })
	conn.Close()
	if !measure.WaitFor(served) {
		f.Add(errors.New("the receiver did not see the end of the connection"))
	} else if sent.Load() != received.Load() {
		f.Add(fmt.Errorf("%d bytes were sent, %d arrived", sent.Load(), received.Load()))
	}
	if err != nil {
		return Sample{}, err
	}
	s.Value = s.perSecond() * 8 / 1e9 // so far an operation is a byte
	s.Ops /= bulkWrite
	s.Fill(&f)
	return s, nil
}
