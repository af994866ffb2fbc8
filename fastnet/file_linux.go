package fastnet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// A File of a socket of the stack's is one end of a pair of unix sockets. It can be
// copied and handed on as any descriptor, and the other end tells when the last copy
// is closed, in whatever process: until then it holds the socket. What it is of,
// FileConn and its like find by its identity, which a copy shares. Of a TCP connection
// it carries the bytes too.

// fileID is a descriptor's identity.
type fileID struct{ dev, ino, cookie uint64 }

func identify(fd int) (id fileID, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return id, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return id, os.NewSyscallError("getsockopt", syscall.ENOTSOCK) // as package net finds out
	}
	// A number of an inode may come again, that of a socket does not.
	id.cookie, _ = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	id.dev, id.ino = uint64(st.Dev), st.Ino
	return id, nil
}

// socketFiles are those that are open.
var socketFiles fileTable

type fileTable struct {
	mu   sync.Mutex
	byID map[fileID]*socketFile
}

func (t *fileTable) put(f *socketFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[fileID]*socketFile)
	}
	t.byID[f.id] = f
}

func (t *fileTable) get(id fileID) *socketFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

func (t *fileTable) remove(id fileID) {
	t.mu.Lock()
	delete(t.byID, id)
	t.mu.Unlock()
}

// socketFile is what a File, and all copies of it, stand for.
type socketFile struct {
	id    fileID
	name  string
	end   *os.File // the other end
	share *sharing
	hold  *stack.TCPHandle // of a connection, whose bytes pass through the pair
	// passing is held from when bytes are read from the pair until they are written to
	// the connection.
	passing sync.Mutex
	lend    *lending
	reset   bool // the File was closed with something to read in it
	// again makes another holder of the socket, and release gives up the File's.
	again   func(file *os.File) (interface{ Close() error }, error)
	release func()
}

// endName is what the other end is bound to, so that it can be told by a copy in
// another process whose that is.
const endName = "@fastnet-file/"

// open makes the File.
func (f *socketFile) open() (*os.File, error) {
	typ, kind := unix.SOCK_SEQPACKET, "token"
	if f.hold != nil {
		typ, kind = unix.SOCK_STREAM, "tcp"
	}
	p, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	if f.id, err = identify(p[0]); err == nil {
		name := fmt.Sprintf("%s%s/%d/%d", endName, kind, os.Getpid(), f.id.ino)
		err = os.NewSyscallError("bind", unix.Bind(p[1], &unix.SockaddrUnix{Name: name}))
	}
	if err == nil && f.hold == nil {
		err = os.NewSyscallError("shutdown", unix.Shutdown(p[1], unix.SHUT_WR)) // who reads finds the end
	}
	if err != nil {
		socketPair(p).close()
		return nil, err
	}
	file, err := asPackageNet(p[0])
	if err != nil {
		unix.Close(p[1])
		return nil, err
	}
	f.end = os.NewFile(uintptr(p[1]), f.name)
	f.lend = &lending{file: f}
	socketFiles.put(f)
	f.share.add(f)
	go f.serve()
	return file, nil
}

// asPackageNet makes of a descriptor, which it takes, such a File as package net's
// are: one that does not block until Fd is called, which a child gets so that it
// blocks.
func asPackageNet(fd int) (*os.File, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, inner(c, err)
	}
	defer c.Close()
	return c.(*net.UnixConn).File()
}

// serve returns when the last copy of the File is closed. Until then it sends what is
// written to them.
func (f *socketFile) serve() {
	defer f.gone()
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for told := false; ; {
		n, err := f.pass(buf[:])
		switch {
		case n > 0 && f.hold == nil && !told:
			told = true
			slog.Warn("fastnet: what was written to the File of a socket is lost: only that of a TCP connection carries data", slog.String("file", f.name))
		case err == io.EOF && !f.hungUp():
			if f.hold != nil {
				f.hold.CloseWrite()
			}
			f.awaitHangUp()
			f.reset = errors.Is(errOfPair(f.raw()), syscall.ECONNRESET)
			return
		case err != nil: // the error that waits, too: it may have come after the end was read
			f.reset = errors.Is(err, syscall.ECONNRESET) || errors.Is(errOfPair(f.raw()), syscall.ECONNRESET)
			return
		}
	}
}

// pass reads something that was written to the File, waiting for it, and sends it.
func (f *socketFile) pass(buf []byte) (n int, err error) {
	failed := f.raw().Read(func(fd uintptr) bool {
		f.passing.Lock()
		defer f.passing.Unlock()
		for n, err = unix.Read(int(fd), buf); err == unix.EINTR; {
			n, err = unix.Read(int(fd), buf)
		}
		if n > 0 && f.hold != nil {
			if _, err := f.hold.Write(buf[:n]); err != nil {
				f.shut(unix.SHUT_RD) // who writes gets EPIPE
			}
		}
		return err != unix.EAGAIN
	})
	switch {
	case failed != nil:
		return 0, failed
	case n == 0 && err == nil:
		return 0, io.EOF
	}
	return n, err
}

// passedOn reports whether nothing that was written to the File is still to be sent.
func (f *socketFile) passedOn() bool {
	if f.hold == nil {
		return true
	}
	if !f.passing.TryLock() {
		return false
	}
	defer f.passing.Unlock()
	waits := 0
	f.raw().Control(func(fd uintptr) { waits, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return waits == 0
}

func (f *socketFile) raw() syscall.RawConn {
	c, _ := f.end.SyscallConn() // fails for a nil File
	return c
}

func (f *socketFile) shut(how int) {
	f.raw().Control(func(fd uintptr) { unix.Shutdown(int(fd), how) })
}

// hungUp reports whether the pair is at its end both ways: as there are no copies of
// the File any more, or as each of its ends has been shut down.
func (f *socketFile) hungUp() (yes bool) {
	f.raw().Control(func(fd uintptr) { yes = pairEnded(int(fd)) })
	return yes
}

func pairEnded(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	unix.Poll(p, 0)
	return p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

func (f *socketFile) awaitHangUp() {
	f.raw().Read(func(fd uintptr) bool { return pairEnded(int(fd)) })
}

// errOfPair is the error that waits at an end of the pair.
func errOfPair(c syscall.RawConn) error {
	var errno int
	c.Control(func(fd uintptr) { errno, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	return syscall.Errno(errno)
}

// gone gives up the File's hold.
func (f *socketFile) gone() {
	socketFiles.remove(f.id)
	f.share.remove(f)
	f.end.Close()
	f.release()
}

// stackFile returns another holder of the socket that file was made from, if it was
// by File, which is what ours says. carries is the kind of Files that another process
// may use as the kernel's.
func stackFile(file *os.File, carries string) (s interface{ Close() error }, ours bool, err error) {
	c, err := file.SyscallConn()
	if err != nil {
		return nil, false, err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		var id fileID
		if id, failed = identify(int(fd)); failed != nil {
			failed = nil // package net has the error
			return
		}
		f := socketFiles.get(id)
		if f == nil {
			failed = foreign(int(fd), carries)
			return
		}
		if s, failed = f.again(file); failed != nil {
			failed = netError("dup", failed)
			return
		}
		ours = true
		f.share.join(f, int(fd))
	})
	if err != nil {
		return nil, false, nil // package net has the error
	}
	return s, ours, failed
}

// foreign says why a File that is not known here cannot be used, or nil.
func foreign(fd int, carries string) error {
	peer, _ := unix.Getpeername(fd)
	u, ok := peer.(*unix.SockaddrUnix)
	if !ok || !strings.HasPrefix(u.Name, endName) {
		return nil
	}
	of := strings.Split(strings.TrimPrefix(u.Name, endName), "/")
	switch {
	case len(of) != 3:
		return nil
	case of[1] == strconv.Itoa(os.Getpid()):
		return net.ErrClosed
	case of[0] == carries:
		return nil
	}
	return fmt.Errorf("fastnet: the file is of a socket of the stack in process %s, which only that process can use: open one here: %w", of[1], errNoDescriptor)
}
