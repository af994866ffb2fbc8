package afxdp

import (
	"bytes"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// The kernel's connections, whose packets it sends by the queue of whatever
// processor its thread is on, over four queues with a poller's goroutine each:
// no byte is lost or out of place, whichever queue it comes by, several queues
// work, and what the connections send goes out by more than one.
func TestConnectionsOverQueues(t *testing.T) {
	const queues = 4
	l := newLab(t, queues)
	h := l.open(Config{})
	require.NoError(t, h.dev.Filter().SetAddresses([]Address{{stackIP, Exclusive}}))
	s := stack.NewHost(stack.Config{})
	_, err := s.Attach(h.dev, stack.InterfaceConfig{Addrs: []netip.Prefix{netip.PrefixFrom(stackIP, 24)}})
	require.NoError(t, err)
	p := stack.NewPoller(stack.PollerConfig{Goroutines: queues})
	require.NoError(t, p.Add(s))
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		_ = p.Close()
	})
	var served sync.WaitGroup
	var listeners []*stack.TCPListener
	var accepted [2]atomic.Int32
	for i := range accepted {
		ln, err := s.ListenTCP(netip.AddrPortFrom(stackIP, 7), stack.ListenOptions{ReusePort: true})
		require.NoError(t, err)
		listeners = append(listeners, ln)
		served.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				accepted[i].Add(1)
				served.Go(func() {
					defer conn.Close()
					_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
				})
			}
		})
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // 64 KiB
	const clients, each = 8, 12
	var all sync.WaitGroup
	for range clients {
		var fds []int
		for range each {
			fds = append(fds, l.kernelSocket(unix.AF_INET))
		}
		all.Go(func() {
			for _, fd := range fds {
				if err := connect(fd, &unix.SockaddrInet4{Addr: stackIP.As4(), Port: 7}); err != nil {
					t.Error(err)
					return
				}
				go func() {
					_, _ = file(fd).Write(data)
					_ = unix.Shutdown(fd, unix.SHUT_WR)
				}()
				got, err := io.ReadAll(file(fd))
				if err != nil || !bytes.Equal(data, got) {
					t.Errorf("%d of %d bytes came back: %v", len(got), len(data), err)
				}
			}
		})
	}
	all.Wait()
	for _, ln := range listeners {
		require.NoError(t, ln.Close())
	}
	served.Wait()
	require.EqualValues(t, clients*each, accepted[0].Load()+accepted[1].Load())
	for i := range accepted {
		require.Positive(t, accepted[i].Load(), "listener %d", i)
	}
	received, sent := 0, 0
	for i, q := range h.dev.Queues() {
		st := q.Stats()
		t.Logf("queue %d: %+v", i, st)
		if st.RxPackets > 10 {
			received++
		}
		if st.TxPackets > 10 {
			sent++
		}
	}
	t.Logf("TCP: %+v", s.Stats().TCP)
	if received > 1 { // the kernel had the choice
		require.Greater(t, sent, 1)
	}
}
