package fastnet

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lending gives what a connection receives to who reads its File, while no holder of
// the connection but Files is left: as all read from one queue, somebody else's share
// must not be taken. So it looks at what has come and writes that into the pair, and
// takes it off the connection's queue once it was read there; what was not, when
// FileConn makes another holder, that one reads.
type lending struct {
	file *socketFile
	done chan struct{} // not nil: it goes on; closed when it has ended
	lent int           // bytes that are in the pair
}

// start begins. The sharing's lock is held, as for the others.
func (l *lending) start() {
	if l.file.hold == nil || l.done != nil {
		return
	}
	l.done = make(chan struct{})
	go l.run(l.done)
}

// run lends until it is stopped, or the connection at its end.
func (l *lending) run(done chan struct{}) {
	defer close(done)
	f := l.file
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := f.hold.Peek(buf[:], true)
		switch err {
		case nil:
		case os.ErrDeadlineExceeded: // stop
			return
		default: // io.EOF, or an error, which a File has no way to tell
			f.shut(unix.SHUT_WR)
			return
		}
		if !l.put(buf[:n]) {
			return
		}
		if l.consume(); l.lent > 0 { // stop, which has the rest done
			return
		}
	}
}

// put writes into the pair and waits until all that is read. It reports whether it
// was.
func (l *lending) put(b []byte) (read bool) {
	err := l.file.raw().Write(func(fd uintptr) bool {
		n, err := unix.Write(int(fd), b)
		if err == unix.EAGAIN {
			return false
		}
		l.lent = max(n, 0)
		read = err == nil
		return true
	})
	if err != nil || !read {
		return false
	}
	ended := false
	err = l.file.raw().Write(func(fd uintptr) bool {
		left, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
		// The memory of what is not read yet; the last byte of that is given
		// back after the wake-up (sock_wfree in Linux' net/core/sock.c).
		if err == nil && left > 1 {
			return false
		}
		ended = pairEnded(int(fd)) // and then it may have been thrown away: see abandon
		return true
	})
	return err == nil && !ended
}

// halt ends run.
func (l *lending) halt() {
	long := time.Unix(1, 0)
	l.file.hold.SetReadDeadline(long)
	l.file.end.SetWriteDeadline(long)
	<-l.done
	l.done = nil
	l.file.hold.SetReadDeadline(time.Time{})
	l.file.end.SetWriteDeadline(time.Time{})
}

// stop ends the lending for somebody who is to read the connection. fd is a
// descriptor of the File, to take back what was not read, or -1.
func (l *lending) stop(fd int) {
	if l.done == nil {
		return
	}
	l.halt()
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for fd >= 0 && l.lent > 0 {
		n, _, err := unix.Recvfrom(fd, buf[:l.lent], unix.MSG_DONTWAIT)
		if n <= 0 || err != nil {
			break
		}
		l.lent -= n
	}
	l.consume() // what is left of lent was read by others
	l.lent = 0
}

// abandon ends the lending as nobody reads it any more.
func (l *lending) abandon() {
	if l.done == nil {
		return
	}
	l.halt()
	if !l.file.reset {
		l.consume()
	}
	l.lent = 0
}

// consume takes what is lent off the connection's queue, until halt.
func (l *lending) consume() {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for l.lent > 0 {
		n, err := l.file.hold.Read(buf[:l.lent])
		if err != nil {
			break
		}
		l.lent -= n
	}
}
