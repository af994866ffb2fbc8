package stack

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// netpollWait waits in Go's network poller for an event on a descriptor of its own.
type netpollWait struct {
	file  *os.File
	conn  syscall.RawConn
	begun bool
	begin func(fd uintptr) bool // made once, as a closure would allocate
}

// newNetpollWait takes fd. begin makes the event come. It is edge-triggered: each
// is one, whether it was read or not.
func newNetpollWait(fd int, name string, begin func(fd int) error) (*netpollWait, error) {
	w := &netpollWait{file: os.NewFile(uintptr(fd), name)}
	var err error
	if w.conn, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, err
	}
	w.begin = func(fd uintptr) bool {
		if w.begun {
			return true
		}
		w.begun = true
		return begin(int(fd)) != nil
	}
	return w, nil
}

// wait returns when the event has come.
func (w *netpollWait) wait() {
	w.begun = false
	w.conn.Read(w.begin)
}

func (w *netpollWait) close() { w.file.Close() }

// newYielder's wait lets other goroutines run, as runtime.Gosched does, and makes
// Go's scheduler look at its network poller on the way: the goroutine waits for
// an event on a descriptor that is ready at once, and so is not on any run queue
// when a processor runs out of other work.
//
// On a processor that never runs out of goroutines the scheduler looks at the
// network poller every 10 ms only, and a goroutine that always comes back by
// Gosched is such work.
func newYielder() (*netpollWait, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	tick := make([]byte, 8)
	tick[0] = 1 // the counter would be full after 2^64 of them
	return newNetpollWait(fd, "eventfd", func(fd int) error {
		_, err := unix.Write(fd, tick)
		return err
	})
}

// newNapper's wait lasts d. Go's own timers are no shorter than the millisecond of
// epoll_wait while a processor has nothing else to do.
func newNapper(d time.Duration) (*netpollWait, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	once := &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	return newNetpollWait(fd, "timerfd", func(fd int) error { return unix.TimerfdSettime(fd, 0, once, nil) })
}
