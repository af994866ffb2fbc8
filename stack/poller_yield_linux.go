package stack

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// netpollYielder lets other goroutines run, as runtime.Gosched does, and makes
// Go's scheduler look at its network poller on the way: the goroutine waits for
// an event on a descriptor that is ready at once, and so is not on any run queue
// when a processor runs out of other work.
//
// On a processor that never runs out of goroutines the scheduler looks at the
// network poller every 10 ms only, and a goroutine that always comes back by
// Gosched is such work.
type netpollYielder struct {
	file *os.File
	conn syscall.RawConn
	tick [8]byte
	sent bool
	wait func(fd uintptr) bool // made once, as a closure would allocate
}

func newNetpollYielder() (*netpollYielder, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	y := &netpollYielder{file: os.NewFile(uintptr(fd), "eventfd")}
	if y.conn, err = y.file.SyscallConn(); err != nil {
		y.file.Close()
		return nil, err
	}
	y.tick[0] = 1
	y.wait = func(fd uintptr) bool {
		if y.sent {
			return true
		}
		y.sent = true
		// The event is edge-triggered: each write is one, whatever the
		// counter says. It would be full after 2^64 of them.
		_, err := unix.Write(int(fd), y.tick[:])
		return err != nil
	}
	return y, nil
}

// yield returns when the scheduler has been at its network poller.
func (y *netpollYielder) yield() {
	y.sent = false
	y.conn.Read(y.wait)
}

func (y *netpollYielder) close() { y.file.Close() }
