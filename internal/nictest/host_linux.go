package nictest

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/nic"
)

// Patience bounds what a test waits for the kernel; it says nothing of how long
// anything takes.
const Patience = time.Minute

// Device is what is tested.
type Device interface {
	nic.Device
	InUse() int
}

// Queue is one of its queues.
type Queue interface {
	nic.Queue
	nic.BatchAllocator
}

// Host is an open device, with OurIP, and the tests' side of it: the kernel's
// stack, with HostIP.
type Host struct {
	T       testing.TB
	Kernel  netlab.Namespace // where it is
	Device  nic.Device
	OurMAC  nic.MAC
	HostMAC nic.MAC  // known after Meet
	Woken   chan int // queue
	id      uint16
}

// Attach takes a device, closes it after the test, and checks then that no buffer
// is left.
func Attach(t testing.TB, kernel netlab.Namespace, dev Device) *Host {
	t.Helper()
	h := &Host{T: t, Kernel: kernel, Device: dev, OurMAC: dev.Info().MAC, Woken: make(chan int, 64)}
	for i, q := range dev.Queues() {
		q.SetWake(func() {
			select {
			case h.Woken <- i:
			default:
			}
		})
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			require.ErrorIs(t, err, nic.ErrClosed) // the test has closed it
		}
		require.Zero(t, dev.InUse(), "buffers are left")
	})
	return h
}

// Queue is queue i.
func (h *Host) Queue(i int) Queue { return h.Device.Queues()[i].(Queue) }

// Queues are all of them.
func (h *Host) Queues() []nic.Queue { return h.Device.Queues() }

// Await receives until a frame satisfies match, sleeping whenever the device
// lets it. The caller releases the frame.
func (h *Host) Await(what string, match func(p *nic.Packet) bool) *nic.Packet {
	h.T.Helper()
	p := h.awaitFor(Patience, match)
	if p == nil {
		h.T.Fatalf("waited in vain for %s; %+v", what, nic.DeviceStats(h.Device))
	}
	return p
}

// awaitFor is Await for some time, and then nil.
func (h *Host) awaitFor(patience time.Duration, match func(p *nic.Packet) bool) *nic.Packet {
	return AwaitFrame(h.Queues(), h.Woken, patience, match)
}

// AwaitFrame receives until a frame satisfies match, and returns it, or nil after
// some time. It sleeps on woken, to which the queues' wake-ups go, whenever they
// let it.
func AwaitFrame(queues []nic.Queue, woken <-chan int, patience time.Duration, match func(p *nic.Packet) bool) *nic.Packet {
	timeout := time.After(patience)
	var one [1]*nic.Packet
	for {
		got := false
		for _, q := range queues {
			for q.Recv(one[:]) == 1 {
				got = true
				if match(one[0]) {
					return one[0]
				}
				one[0].Release()
			}
		}
		asleep := true
		for _, q := range queues {
			asleep = q.Arm() && asleep
		}
		if got || !asleep {
			continue
		}
		select {
		case <-woken:
		case <-timeout:
			return nil
		}
	}
}

// Sleep releases what arrives at q until there is nothing, and q is armed.
func Sleep(q nic.Queue) {
	for Drain(q); !q.Arm(); Drain(q) {
	}
}

// Drain releases what has arrived, and returns how many datagrams of UDP were
// there: the kernel asks for addresses when it likes.
func Drain(q nic.Queue) (datagrams int) {
	var pkts [16]*nic.Packet
	for n := q.Recv(pkts[:]); n > 0; n = q.Recv(pkts[:]) {
		for _, p := range pkts[:n] {
			if IsUDP(p) {
				datagrams++
			}
			p.Release()
		}
	}
	return datagrams
}

// Packet returns a frame to be sent.
func (h *Host) Packet(q nic.Queue, meta nic.Meta, frame []byte) *nic.Packet {
	h.T.Helper()
	p := q.Alloc(len(frame))
	require.NotNil(h.T, p)
	p.Meta = meta
	copy(p.Extend(len(frame)), frame)
	return p
}

// Send sends one frame on queue i.
func (h *Host) Send(i int, meta nic.Meta, frame []byte) {
	h.T.Helper()
	q := h.Queue(i)
	require.Equal(h.T, 1, q.Send([]*nic.Packet{h.Packet(q, meta, frame)}))
	q.Kick()
}

// SendPatiently sends one frame on queue 0. While that is full it sleeps until it
// is woken; it returns how often it slept.
func (h *Host) SendPatiently(meta nic.Meta, frame []byte, timeout <-chan time.Time) (slept int) {
	h.T.Helper()
	q := h.Queue(0)
	p := h.Packet(q, meta, frame)
	for q.Send([]*nic.Packet{p}) == 0 {
		q.Kick()
		Drain(q)
		if !q.Arm() {
			continue
		}
		slept++
		select {
		case <-h.Woken:
		case <-timeout:
			h.T.Fatalf("asleep for good: %+v", q.Stats())
		}
	}
	return slept
}

// Links has changes receive what Notify tells: each call of the function returned
// waits for the next.
func (h *Host) Links(changes chan nic.Link) func() nic.Link {
	h.Device.Notify(func(l nic.Link) { changes <- l })
	return func() nic.Link {
		h.T.Helper()
		select {
		case l := <-changes:
			return l
		case <-time.After(Patience):
			h.T.Fatal("no notification")
			return nic.Link{}
		}
	}
}

// NoneLeft checks that there are no more goroutines than before. The test's own
// threads may take a moment to end.
func NoneLeft(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(Patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines are left")
	}
}

// Socket opens a socket of the kernel's, bound to HostIP and port, with a timeout
// on everything that blocks.
func (h *Host) Socket(kind int, port int) int {
	h.T.Helper()
	fd := -1
	require.NoError(h.T, h.Kernel.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		tv := unix.NsecToTimeval(int64(Patience))
		for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &tv); err != nil {
				return err
			}
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: HostIP.As4(), Port: port})
	}))
	h.T.Cleanup(func() { unix.Close(fd) })
	return fd
}

// ToUs sends a datagram of the kernel's to our port.
func ToUs(t testing.TB, fd, port int, data string) {
	t.Helper()
	require.NoError(t, unix.Sendto(fd, []byte(data), 0, &unix.SockaddrInet4{Addr: OurIP.As4(), Port: port}))
}

// Received reads a datagram, or what there is of a stream.
func Received(t testing.TB, fd int) (data string, from unix.Sockaddr) {
	t.Helper()
	buf := make([]byte, 1<<16)
	for {
		// With a timeout set the call is not restarted after a signal (signal(7)).
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		require.NoError(t, err)
		return string(buf[:n]), from
	}
}
