package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
type Taken struct{ name *unix.SockaddrUnix }

// Holder is a process that has a claim.
type Holder struct {
	PID     int    // 0 if it is not to be seen from here
	Program string // as /proc/PID/comm has it
	UID     int    // of its user
}

func (t *Taken) Error() string {
	h := t.Holder()
	return h.String() + " has it" + h.advice()
}

func (h Holder) String() string {
	switch {
	case h.PID == 0:
		return "another process"
	case h.strange():
		return fmt.Sprintf("process %d (%s) of user %d", h.PID, h.Program, h.UID)
	}
	return fmt.Sprintf("process %d (%s)", h.PID, h.Program)
}

// strange reports whether it may have no more than the name, which anybody can take.
func (h Holder) strange() bool { return h.UID != 0 && h.UID != os.Geteuid() }

func (h Holder) advice() string {
	switch {
	case h.PID == 0:
		return ": ss -xap, as root, tells which (@fastnet/xdp)"
	case h.strange():
		return ": end that process if it is no server of yours"
	}
	return ""
}

func claimName(index int) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("@fastnet/xdp/%d", index)}
}

// NewClaim claims the interface of an index. The error is a *Taken if another
// process, or this one, has it already.
func NewClaim(index int) (*Claim, error) {
	name := claimName(index)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, name); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, &Taken{name}
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

// Holder finds who has it at the moment: by asking, or by looking at all processes
// where the name's owner does not listen.
func (t *Taken) Holder() (h Holder) {
	if cred, err := peer(t.name); err == nil {
		h.PID, h.UID = int(cred.Pid), int(cred.Uid)
	} else {
		h.PID, h.UID = owner(t.name.Name)
	}
	if h.PID != 0 {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", h.PID))
		h.Program = strings.TrimSpace(string(comm))
	}
	return h
}

// peer asks the kernel who listens on a name.
func peer(name *unix.SockaddrUnix) (*unix.Ucred, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, name); err != nil {
		return nil, err
	}
	return unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
}

// owner finds a process, and its user, with a socket that is bound to a name:
// /proc/net/unix tells the socket's number, and a process's descriptors theirs. pid
// is 0 if there is none that this one may look at.
func owner(name string) (pid, uid int) {
	sockets, err := os.ReadFile("/proc/thread-self/net/unix")
	if err != nil {
		return 0, 0
	}
	links := make(map[string]bool) // connections to it have its name, too, and no number until they are accepted
	for line := range strings.Lines(string(sockets)) {
		if f := strings.Fields(line); len(f) == 8 && f[7] == name && f[6] != "0" {
			links["socket:["+f[6]+"]"] = true
		}
	}
	if len(links) == 0 {
		return 0, 0
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range descriptors {
		if to, err := os.Readlink(fd); err != nil || !links[to] {
			continue
		}
		var st unix.Stat_t
		dir := filepath.Dir(filepath.Dir(fd))
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && unix.Stat(dir, &st) == nil {
			return pid, int(st.Uid)
		}
	}
	return 0, 0
}
