package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Follower keeps the nic.Link of a device that is an interface of the kernel's,
// or has one at its other end, and tells of its changes as nic.Device.Notify
// says. All methods may be called from any goroutine.
type Follower struct {
	// Changed, if it is set before Start, is called with what the kernel
	// announces, before Link has it. An error ends the device: Link.Err.
	Changed func(State) error
	// Deleted is called when the kernel announces that the interface was
	// deleted or left its namespace. The device is dead if it returns an error,
	// which is then part of Link.Err. nil: it always is.
	Deleted func() error

	prefix string // of Link.Err: "tap: fast0"
	index  int32  // 0: the interface is not known, and not followed

	monitor *os.File // announcements of links
	raw     syscall.RawConn
	seq     uint32     // of our questions
	hearing sync.Mutex // held while an announcement is carried out
	current bool       // Start's question was answered; watch's

	dead atomic.Bool   // closed, or gone: link.Err says why
	done chan struct{} // closed by Close
	all  sync.WaitGroup

	mu        sync.Mutex
	link      nic.Link
	changes   chan struct{} // link has changed: capacity 1
	notifying sync.Mutex    // held over a call of changed; before mu
	changed   func(nic.Link)
	reported  nic.Link
	closed    bool
}

// NewFollower begins to listen for announcements in the thread's network
// namespace: before the link is looked at, so that no change is missed.
func NewFollower() (*Follower, error) {
	fd, err := openNetlink(unix.RTMGRP_LINK)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Follower{
		monitor: os.NewFile(uintptr(fd), "rtnetlink"),
		seq:     rand.Uint32(), // announcements have that of whose question they are a consequence
		done:    make(chan struct{}),
		changes: make(chan struct{}, 1),
	}, nil
}

// Set says what is followed, and its state now. prefix begins the error of a
// device that is gone: the driver and the interface, "tap: fast0". It comes
// before Start.
func (f *Follower) Set(prefix string, index int32, now nic.Link) {
	f.prefix, f.index, f.link, f.reported = prefix, index, now, now
}

// Start starts the goroutines that follow the link.
func (f *Follower) Start() (err error) {
	if f.raw, err = f.monitor.SyscallConn(); err != nil {
		return err
	}
	// What was announced before the link was looked at is older than what Set was
	// told: nothing counts before the answer to a question that is asked now.
	f.current = f.index == 0 || f.ask() != nil
	f.all.Go(f.watch)
	f.all.Go(f.report)
	return nil
}

// Link is the present state.
func (f *Follower) Link() nic.Link {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.link
}

// Dead reports whether the device is closed or gone for good. It is cheap.
func (f *Follower) Dead() bool { return f.dead.Load() }

// Notify implements nic.Device.
func (f *Follower) Notify(changed func(nic.Link)) {
	f.notifying.Lock()
	defer f.notifying.Unlock()
	f.changed = changed
	f.mu.Lock()
	f.reported = f.link
	f.mu.Unlock()
}

// Change changes the link's state, unless the device is dead.
func (f *Follower) Change(change func(*nic.Link)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link.Err != nil {
		return
	}
	change(&f.link)
	select {
	case f.changes <- struct{}{}:
	default:
	}
}

// Die says that the device is gone for good. It may be called with locks of the
// driver's held: the notification comes from a goroutine of its own.
func (f *Follower) Die(err error) {
	f.dead.Store(true)
	f.Change(func(l *nic.Link) {
		l.Up = false
		l.Err = fmt.Errorf("%s is gone: it was deleted, or its network namespace was: %w", f.prefix, err)
	})
}

// Mark makes the device dead for its users, before the driver closes what they
// use. No announcement is carried out from then on. A second call returns
// nic.ErrClosed. Changed and Deleted may not call it.
func (f *Follower) Mark() error {
	f.hearing.Lock()
	defer f.hearing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nic.ErrClosed
	}
	f.closed = true
	f.dead.Store(true)
	f.link.Up, f.link.Err = false, nic.ErrClosed
	return nil
}

func (f *Follower) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Close ends the goroutines, and waits for them. A driver calls it once, after
// Mark or instead of Start.
func (f *Follower) Close() error {
	close(f.done)
	err := f.monitor.Close()
	f.all.Wait()
	return err
}

// report tells of changes, from a goroutine of its own: who notices them may
// hold locks of the stack's.
func (f *Follower) report() {
	for {
		select {
		case <-f.done:
			return
		case <-f.changes:
		}
		f.notifying.Lock()
		f.mu.Lock()
		now, was := f.link, f.reported
		f.reported = now
		f.mu.Unlock()
		if f.changed != nil && now != was {
			f.changed(now)
		}
		f.notifying.Unlock()
	}
}

// watch follows the kernel's announcements of the link.
func (f *Follower) watch() {
	buf := make([]byte, 64<<10)
	var size int
	var failed error
	receive := func(fd uintptr) bool {
		size, _, failed = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(failed, unix.EAGAIN)
	}
	for {
		if err := f.raw.Read(receive); err != nil {
			return // closed
		}
		switch {
		case errors.Is(failed, unix.EINTR):
			continue
		case errors.Is(failed, unix.ENOBUFS):
			f.Ask() // announcements were lost
			continue
		case failed != nil:
			return
		}
		eachMessage(buf[:size], func(kind uint16, seq uint32, body []byte) {
			if f.current = f.current || seq == f.seq; f.current {
				f.announced(kind, body)
			}
		})
	}
}

// Ask makes the kernel tell the link's state as if it had changed.
func (f *Follower) Ask() { _ = f.ask() }

func (f *Follower) ask() error {
	question := message(unix.RTM_GETLINK, 0, f.seq, InfoMessage(f.index, 0, 0))
	var sent error
	err := f.raw.Control(func(fd uintptr) {
		sent = unix.Sendto(int(fd), question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	return errors.Join(err, sent)
}

// announced handles one announcement, or the answer to Ask.
func (f *Follower) announced(kind uint16, body []byte) {
	f.hearing.Lock()
	defer f.hearing.Unlock()
	if f.index == 0 || f.isClosed() {
		return
	}
	switch kind {
	case unix.NLMSG_ERROR:
		if len(body) >= 4 && unix.Errno(-int32(ne.Uint32(body))) == unix.ENODEV {
			f.deleted()
		}
		return
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
	default:
		return
	}
	// Bridges announce their ports under their own family.
	if len(body) == 0 || body[0] != unix.AF_UNSPEC {
		return
	}
	s, ok := parse(body)
	if !ok || s.Index != f.index {
		return
	}
	if kind == unix.RTM_DELLINK {
		f.deleted()
		return
	}
	if f.Changed != nil {
		if err := f.Changed(s); err != nil {
			f.dead.Store(true)
			f.Change(func(l *nic.Link) { l.Up, l.Err = false, fmt.Errorf("%s: %w", f.prefix, err) })
			return
		}
	}
	f.Change(func(l *nic.Link) { *l = s.Link() })
}

func (f *Follower) deleted() {
	if f.Deleted == nil {
		f.Die(unix.ENODEV)
	} else if err := f.Deleted(); err != nil {
		f.Die(err)
	}
}
