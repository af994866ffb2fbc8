package stack

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// Connections come and go as fast as they can, so that ports come again while
// their last connection is in TIME-WAIT.
func TestConnectionChurn(t *testing.T) {
	p := newPair(t, wire.Config{})
	l, err := p.a.ListenTCP(addrPort("10.0.0.1:80"), ListenOptions{})
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				b := make([]byte, 100)
				n, err := c.Read(b)
				if err == nil {
					c.Write(b[:n])
				}
				c.Close()
			})
		}
	})
	total := 40_000 // more than there are ports
	if testing.Short() {
		total = 10_000
	}
	const workers = 16
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for range total / workers {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				c, err := p.b.DialTCP(ctx, netip.AddrPort{}, addrPort("10.0.0.1:80"), TCPOptions{})
				cancel()
				if err != nil {
					t.Errorf("worker %d: dial: %v", w, err)
					return
				}
				b := make([]byte, 100)
				_, err = c.Write([]byte("hello"))
				if err == nil {
					c.SetReadDeadline(time.Now().Add(patience))
					_, err = c.Read(b)
				}
				if err != nil {
					t.Errorf("worker %d: %v: %+v", w, err, c.Info())
				}
				c.Close()
			}
		})
	}
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	for waiting := true; waiting; {
		select {
		case <-finished:
			waiting = false
		case <-time.After(30 * time.Second):
			t.Logf("a %+v", p.a.Stats())
			t.Logf("b %+v", p.b.Stats())
			for _, h := range []*Host{p.a, p.b} {
				for _, c := range h.Connections() {
					t.Logf("%s: %+v", h.Name(), c)
				}
			}
		}
	}
	l.Close()
	served.Wait()
}
