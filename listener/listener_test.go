package listener

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/stack"
)

// half is a listener, of either side: a queue and a deadline.
type half[C any] struct {
	mu       sync.Mutex
	change   chan struct{} // closed and replaced at each change
	queue    []C
	errs     []error
	deadline time.Time
	closed   error // what Accept returns once closed
	isClosed bool
	taken    int
	port     uint16
}

func newHalf[C any](closed error) *half[C] {
	return &half[C]{change: make(chan struct{}), closed: closed}
}

func (h *half[C]) changed(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.change)
	h.change = make(chan struct{})
}

func (h *half[C]) offer(c C)      { h.changed(func() { h.queue = append(h.queue, c) }) }
func (h *half[C]) fail(err error) { h.changed(func() { h.errs = append(h.errs, err) }) }

func (h *half[C]) Accept() (c C, err error) {
	for {
		h.mu.Lock()
		change, deadline := h.change, h.deadline
		switch {
		case h.isClosed:
			err = h.closed
		case !deadline.IsZero() && !time.Now().Before(deadline):
			err = os.ErrDeadlineExceeded
		case len(h.errs) > 0:
			err, h.errs = h.errs[0], h.errs[1:]
		case len(h.queue) > 0:
			c, h.queue = h.queue[0], h.queue[1:]
			h.taken++
			h.mu.Unlock()
			return c, nil
		}
		h.mu.Unlock()
		if err != nil {
			return c, err
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-change:
		case <-late:
		}
	}
}

func (h *half[C]) SetDeadline(t time.Time) error {
	h.changed(func() { h.deadline = t })
	return nil
}

func (h *half[C]) Close() error {
	h.changed(func() { h.isClosed = true })
	return nil
}

func (h *half[C]) Addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), h.port)
}

// conn is a connection of the kernel's.
type conn struct{ closed bool }

func (c *conn) Close() error { c.closed = true; return nil }

var errKernelClosed = errors.New("use of closed network connection")

func merged(t *testing.T) (*TCP[*conn], *half[*stack.TCPConn], *half[*conn]) {
	s, k := newHalf[*stack.TCPConn](stack.ErrClosed), newHalf[*conn](errKernelClosed)
	l := Merge[*conn](s, k, nil)
	t.Cleanup(func() { l.Close() })
	return l, s, k
}

func TestConnectionsOfBothSidesAreAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, k := merged(t)
		sc, kc := new(stack.TCPConn), new(conn)
		go func() {
			time.Sleep(time.Second)
			s.offer(sc)
			time.Sleep(time.Second)
			k.offer(kc)
			time.Sleep(time.Second)
			s.offer(sc)
		}()
		start := time.Now()
		gotS, gotK, err := l.Accept()
		require.NoError(t, err)
		require.True(t, gotS == sc && gotK == nil)
		require.Equal(t, time.Second, time.Since(start))
		gotS, gotK, err = l.Accept()
		require.NoError(t, err)
		require.True(t, gotS == nil && gotK == kc)
		require.Equal(t, 2*time.Second, time.Since(start))
		gotS, _, err = l.Accept()
		require.NoError(t, err)
		require.True(t, gotS == sc)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestManyAcceptorsGetEachConnectionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, k := merged(t)
		const each = 200
		var mu sync.Mutex
		seenS, seenK := map[*stack.TCPConn]int{}, map[*conn]int{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					sc, kc, err := l.Accept()
					if err != nil {
						require.Equal(t, stack.ErrClosed, err)
						return
					}
					mu.Lock()
					if sc != nil {
						seenS[sc]++
					} else {
						seenK[kc]++
					}
					mu.Unlock()
				}
			})
		}
		for range each {
			s.offer(new(stack.TCPConn))
			k.offer(new(conn))
		}
		synctest.Wait()
		mu.Lock()
		require.Len(t, seenS, each)
		require.Len(t, seenK, each)
		mu.Unlock()
		require.NoError(t, l.Close())
		wg.Wait()
	})
}

func TestDeadlineHoldsWithBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, k := merged(t)
		start := time.Now()
		require.NoError(t, l.SetDeadline(start.Add(3*time.Second)))
		kc := new(conn)
		time.AfterFunc(time.Second, func() { k.offer(kc) })
		_, got, err := l.Accept()
		require.NoError(t, err)
		require.True(t, got == kc)
		_, _, err = l.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))

		// In the past: nothing waits.
		require.NoError(t, l.SetDeadline(time.Unix(1, 0)))
		_, _, err = l.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		// None again.
		require.NoError(t, l.SetDeadline(time.Time{}))
		time.AfterFunc(time.Hour, func() { k.offer(kc) })
		_, got, err = l.Accept()
		require.NoError(t, err)
		require.True(t, got == kc)
	})
}

func TestDeadlineSetWhileAConnectionOfTheKernelsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, k := merged(t)
		k.offer(new(conn))
		synctest.Wait()
		start := time.Now()
		require.NoError(t, l.SetDeadline(start.Add(time.Second)))
		_, got, err := l.Accept()
		require.NoError(t, err)
		require.NotNil(t, got)
		_, _, err = l.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestErrorOfTheKernelsAcceptIsReturnedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, k := merged(t)
		k.fail(syscall.EPERM)
		_, _, err := l.Accept()
		require.Equal(t, syscall.EPERM, err)
		s.offer(new(stack.TCPConn))
		sc, _, err := l.Accept()
		require.NoError(t, err)
		require.NotNil(t, sc)
	})
}

func TestKernelsBacklogIsNotEmptiedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, k := merged(t)
		for range 3 * maxPending {
			k.offer(new(conn))
		}
		synctest.Wait()
		require.Equal(t, maxPending, k.taken)
		for range 3 * maxPending {
			_, kc, err := l.Accept()
			require.NoError(t, err)
			require.NotNil(t, kc)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, k := merged(t)
		done := make(chan error)
		go func() {
			_, _, err := l.Accept()
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.Equal(t, stack.ErrClosed, <-done)
		require.True(t, s.isClosed && k.isClosed)
		require.Equal(t, stack.ErrClosed, l.Close())
		require.Equal(t, stack.ErrClosed, l.SetDeadline(time.Time{}))
	})
}

func TestCloseClosesWhatNobodyAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, k := merged(t)
		kc := new(conn)
		k.offer(kc)
		synctest.Wait()
		require.NoError(t, l.Close())
		require.True(t, kc.closed)
	})
}

func TestBothSidesListenOnOnePort(t *testing.T) {
	any0 := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	next := uint16(1000)
	var kernels []*half[*conn]
	kernel := func() (Kernel[*conn], uint16, error) {
		next++
		h := newHalf[*conn](os.ErrClosed)
		h.port = next
		kernels = append(kernels, h)
		return h, h.port, nil
	}
	taken := func(ports ...uint16) func(netip.AddrPort) (*half[*stack.TCPConn], error) {
		return func(a netip.AddrPort) (*half[*stack.TCPConn], error) {
			if slices.Contains(ports, a.Port()) {
				return nil, os.NewSyscallError("bind", syscall.EADDRINUSE)
			}
			return &half[*stack.TCPConn]{port: a.Port()}, nil
		}
	}

	s, k, err := ListenBoth(any0, kernel, taken(1001, 1002))
	require.NoError(t, err)
	require.Equal(t, uint16(1003), s.port)
	require.Equal(t, uint16(1003), k.(*half[*conn]).port)
	require.True(t, kernels[0].isClosed && kernels[1].isClosed && !kernels[2].isClosed)

	// A port that was asked for is not replaced.
	_, _, err = ListenBoth(netip.AddrPortFrom(netip.IPv4Unspecified(), 1004), kernel, taken(1004))
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.True(t, kernels[3].isClosed)

	// Nor is another error a matter of the port.
	_, _, err = ListenBoth(any0, kernel, func(netip.AddrPort) (*half[*stack.TCPConn], error) { return nil, io.ErrNoProgress })
	require.Equal(t, io.ErrNoProgress, err)
	require.True(t, kernels[4].isClosed)
	_, _, err = ListenBoth(any0, func() (Kernel[*conn], uint16, error) { return nil, 0, io.ErrNoProgress }, taken())
	require.Equal(t, io.ErrNoProgress, err)
}

// The kernel's half is out of descriptors: the stack's goes on, each failure is told,
// and the kernel is asked again after pauses.
func TestErrorsOfTheMomentAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, k := newHalf[*stack.TCPConn](stack.ErrClosed), newHalf[*conn](errKernelClosed)
		var told []error
		l := Merge[*conn](s, k, func(err error) { told = append(told, err) })
		const many = 20
		for i := range many {
			k.fail(os.NewSyscallError("accept4", []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}[i%4]))
		}
		kc := new(conn)
		k.offer(kc)
		for range 3 {
			s.offer(new(stack.TCPConn))
			sc, _, err := l.Accept()
			require.NoError(t, err)
			require.NotNil(t, sc)
		}
		start := time.Now()
		_, got, err := l.Accept()
		require.NoError(t, err)
		require.True(t, got == kc)
		require.Len(t, told, many)
		// 5 ms, 10, ... 640 and a second each from then on.
		require.Equal(t, 1275*time.Millisecond+(many-8)*time.Second, time.Since(start))

		k.fail(syscall.EMFILE)
		synctest.Wait()
		start = time.Now()
		require.NoError(t, l.Close())
		require.Zero(t, time.Since(start), "Close does not wait for the pause")
	})
}

// The kernel's half is closed first: what it had accepted is there still, the stack's
// half goes on.
func TestTheKernelsHalfIsClosedAlone(t *testing.T) {
	for _, many := range []int{3, 3 * maxPending} {
		synctest.Test(t, func(t *testing.T) {
			l, s, k := merged(t)
			for range many {
				k.offer(new(conn))
			}
			synctest.Wait()
			require.Equal(t, min(many, maxPending), l.Waiting())
			require.NoError(t, l.CloseKernel())
			require.NoError(t, l.CloseKernel())
			require.True(t, k.isClosed && !s.isClosed)
			// Until it was closed the kernel's half may have had more taken from it.
			require.GreaterOrEqual(t, k.taken, min(many, maxPending))
			for range k.taken {
				_, kc, err := l.Accept()
				require.NoError(t, err)
				require.NotNil(t, kc)
			}
			require.Zero(t, l.Waiting())
			s.offer(new(stack.TCPConn))
			sc, _, err := l.Accept()
			require.NoError(t, err)
			require.NotNil(t, sc)
			require.NoError(t, l.Close())
			require.Equal(t, stack.ErrClosed, l.Close())
			require.NoError(t, l.CloseKernel())
		})
	}
}

// queueOf is a listener of the kernel's that has connections at once.
type queueOf struct{ c chan int }

func (q queueOf) Accept() (int, error) {
	c, ok := <-q.c
	if !ok {
		return 0, io.EOF
	}
	return c, nil
}

func (q queueOf) SetDeadline(time.Time) error { return nil }
func (q queueOf) Close() error                { close(q.c); return nil }

// A goroutine of a bubble may use a listener that was made outside, whose pump waits
// for room outside.
func TestListenerOfTheWorldInABubble(t *testing.T) {
	host := stack.NewHost(stack.Config{})
	poller := stack.NewPoller(stack.PollerConfig{})
	defer poller.Close()
	require.NoError(t, poller.Add(host))
	defer host.Close()
	s, err := host.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"), stack.ListenOptions{})
	require.NoError(t, err)
	q := queueOf{make(chan int, 3*maxPending)}
	for i := range 2 * maxPending {
		q.c <- i
	}
	l := Merge[int](s, q, nil)
	synctest.Test(t, func(t *testing.T) {
		for i := range 2 * maxPending {
			_, c, err := l.Accept()
			require.NoError(t, err)
			require.Equal(t, i, c)
		}
		require.NoError(t, l.SetDeadline(time.Unix(1, 0)))
		_, _, err := l.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, l.Close())
	})
}
