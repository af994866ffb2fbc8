package afxdp

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bell is what a goroutine sleeps on in the runtime's network poller until a
// socket has something to receive.
//
// The socket is not in the runtime's epoll set itself: each packet that came
// while the stack is awake anyway, and each buffer that was sent, would wake the
// thread that sleeps there, for a third of a packet's cost. It is in a set of its
// own, whose descriptor is in the runtime's, and is taken out of hearing while
// packets come often (listen).
type bell struct {
	socket int
	set    int
	file   *os.File
	raw    syscall.RawConn

	mu        sync.Mutex // over a change of these two
	listening atomic.Bool
	waiting   atomic.Bool   // somebody sleeps: the bell is not to fall silent
	calls     atomic.Uint64 // system calls of listen
}

func newBell(socket int) (*bell, error) {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	b := &bell{socket: socket, set: set}
	if err := unix.SetNonblock(set, true); err != nil { // for NewFile
		unix.Close(set)
		return nil, err
	}
	b.file = os.NewFile(uintptr(set), "AF_XDP")
	if b.raw, err = b.file.SyscallConn(); err == nil {
		b.listening.Store(true)
		err = unix.EpollCtl(set, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
	}
	if err != nil {
		b.file.Close()
		return nil, err
	}
	return b, nil
}

// deafen makes the bell silent, unless somebody waits for it.
func (b *bell) deafen() {
	if !b.listening.Load() || b.waiting.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.waiting.Load() {
		b.listen(false)
	}
}

// listen makes the bell ring for what arrives from now on, or not. mu is held.
func (b *bell) listen(on bool) {
	if b.listening.Load() == on {
		return
	}
	b.listening.Store(on)
	b.calls.Add(1)
	event := unix.EpollEvent{Events: unix.EPOLLET}
	if on {
		event.Events |= unix.EPOLLIN
	}
	_ = b.raw.Control(func(uintptr) { _ = unix.EpollCtl(b.set, unix.EPOLL_CTL_MOD, b.socket, &event) })
}

// wait sleeps until ready, which it asks first, or until the deadline. The error
// is os.ErrDeadlineExceeded then, and another after close.
func (b *bell) wait(ready func(fd uintptr) bool) error {
	b.mu.Lock()
	b.waiting.Store(true)
	b.listen(true)
	b.mu.Unlock()
	defer b.waiting.Store(false)
	return b.raw.Read(ready)
}

// setDeadline bounds a wait, that under way too; the zero time does not.
func (b *bell) setDeadline(t time.Time) { _ = b.file.SetReadDeadline(t) }

func (b *bell) close() error { return b.file.Close() }
