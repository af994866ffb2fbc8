package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Claim is the word that this process has an interface. It is a listening unix
// socket of an abstract name, which is the network namespace's and ends with the
// process however that ends (unix(7)).
type Claim struct {
	file *os.File
	done chan struct{}
}

// Taken is that another process has the interface.
type Taken struct {
	PID     int    // 0 if it is not to be seen from here
	Program string // as /proc/PID/comm has it
}

func (t *Taken) Error() string {
	if t.PID == 0 {
		return "another process has it"
	}
	return fmt.Sprintf("process %d (%s) has it", t.PID, t.Program)
}

// NewClaim claims the interface of an index. The error is a *Taken if another
// process, or this one, has it already.
func NewClaim(index int) (*Claim, error) {
	name := &unix.SockaddrUnix{Name: fmt.Sprintf("@fastnet/xdp/%d", index)}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, name); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, holder(name)
		}
		return nil, err
	}
	if err := unix.Listen(fd, 16); err != nil { // so that a second process can ask who it is
		unix.Close(fd)
		return nil, err
	}
	c := &Claim{os.NewFile(uintptr(fd), "claim"), make(chan struct{})}
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.file.Close()
		return nil, err
	}
	go c.answer(raw)
	return c, nil
}

// answer takes in who asks, and no more: else the queue would be full after a few.
func (c *Claim) answer(raw syscall.RawConn) {
	defer close(c.done)
	_ = raw.Read(func(fd uintptr) bool {
		for {
			who, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC)
			switch {
			case err == nil:
				unix.Close(who)
			case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			default:
				return false // until the next one, or Close
			}
		}
	})
}

// Close gives the interface up.
func (c *Claim) Close() error {
	err := c.file.Close()
	<-c.done
	return err
}

// holder asks who has a claim.
func holder(name *unix.SockaddrUnix) *Taken {
	t := &Taken{}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return t
	}
	defer unix.Close(fd)
	if unix.Connect(fd, name) != nil {
		return t
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return t
	}
	t.PID = int(cred.Pid)
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", t.PID))
	t.Program = strings.TrimSpace(string(comm))
	return t
}
