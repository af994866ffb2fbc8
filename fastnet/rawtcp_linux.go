package fastnet

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack"
)

// Some programs read a TCP connection with read(2) through SyscallConn: drivers of
// databases look so, without waiting, whether the server has hung up. What they
// get is one end of a pair of unix sockets that stands for the connection for as
// long as their function runs: what has arrived is written into the other end
// before, and what they have not read stays in the connection.

// rawTCP is what SyscallConn returns for a connection of the stack's.
type rawTCP struct{ c *TCPConn }

func (c *TCPConn) rawConn() (syscall.RawConn, error) { return rawTCP{c}, nil }

func (r rawTCP) opError(op, call string, err error) error {
	return &OpError{Op: op, Net: r.c.net, Source: &r.c.laddr.addr, Addr: &r.c.raddr.addr, Err: netError(call, err)}
}

// socketPair is two connected unix sockets that do not block.
type socketPair [2]int

func newSocketPair() (socketPair, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return p, os.NewSyscallError("socketpair", err)
}

func (p socketPair) close() {
	unix.Close(p[0])
	unix.Close(p[1])
}

// Pairs that every connection can use, since nothing passes through them: the
// first has nothing to read yet, the second is at its end.
var (
	silentPair = sync.OnceValues(newSocketPair)
	endedPair  = sync.OnceValues(func() (socketPair, error) {
		p, err := newSocketPair()
		if err == nil {
			err = os.NewSyscallError("shutdown", unix.Shutdown(p[1], unix.SHUT_WR))
		}
		return p, err
	})
)

// idle is how long a function that leaves what there is to read, or has nothing to
// write, waits to be called again.
const idle = time.Millisecond

// Read calls f with a descriptor that reads as the connection does, until it
// returns true; in between it waits for data.
func (r rawTCP) Read(f func(fd uintptr) bool) error {
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for wait := false; ; wait = true {
		var done bool
		used := 0
		n, err := r.c.peek(buf[:], wait)
		switch err {
		case nil:
			done, used, err = lend(buf[:n], f)
		case stack.ErrWouldBlock:
			done, err = callWith(silentPair, f)
		case io.EOF:
			done, err = callWith(endedPair, f)
		}
		for left := used; left > 0 && err == nil; { // it is there: this does not wait
			n, err = r.c.read(buf[:left])
			left -= n
		}
		switch {
		case err != nil:
			return r.opError("raw-read", "read", err)
		case done:
			return nil
		case used == 0 && wait:
			time.Sleep(idle)
		}
	}
}

func callWith(pair func() (socketPair, error), f func(fd uintptr) bool) (done bool, err error) {
	p, err := pair()
	if err != nil {
		return false, err
	}
	return f(uintptr(p[0])), nil
}

// lend calls f with a descriptor that has data to read, and returns how much of
// it f has read.
func lend(data []byte, f func(fd uintptr) bool) (done bool, used int, err error) {
	p, err := newSocketPair()
	if err != nil {
		return false, 0, err
	}
	defer p.close()
	n, err := unix.Write(p[1], data) // as much as the pair takes
	if err != nil {
		return false, 0, os.NewSyscallError("write", err)
	}
	done = f(uintptr(p[0]))
	left, err := unix.IoctlGetInt(p[0], unix.TIOCINQ)
	if err != nil {
		return false, 0, os.NewSyscallError("ioctl", err)
	}
	return done, n - left, nil
}

// Write calls f with a descriptor, until it returns true, and sends what f has
// written to it.
func (r rawTCP) Write(f func(fd uintptr) bool) error {
	if _, err := r.c.write(nil); err != nil { // closed, or the deadline has passed
		return r.opError("raw-write", "write", err)
	}
	p, err := newSocketPair()
	if err != nil {
		return r.opError("raw-write", "write", err)
	}
	defer p.close()
	buf := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buf)
	for {
		done, sent := f(uintptr(p[0])), 0
		for {
			n, err := unix.Read(p[1], buf[:])
			if n <= 0 || err != nil {
				break // there is no more
			}
			if _, err := r.c.write(buf[:n]); err != nil {
				return r.opError("raw-write", "write", err)
			}
			sent += n
		}
		switch {
		case done:
			return nil
		case sent == 0:
			time.Sleep(idle)
			if _, err := r.c.write(nil); err != nil {
				return r.opError("raw-write", "write", err)
			}
		}
	}
}

// liveTCP are the options that a connection takes.
var liveTCP = map[string]bool{
	"SO_REUSEADDR": true, "SO_RCVBUF": true, "SO_SNDBUF": true, "SO_BUSY_POLL": true, "SO_LINGER": true,
	"SO_KEEPALIVE": true, "TCP_KEEPIDLE": true, "TCP_KEEPINTVL": true, "TCP_KEEPCNT": true,
	"TCP_NODELAY": true, "TCP_USER_TIMEOUT": true, "IP_BIND_ADDRESS_NO_PORT": true,
	"IP_TOS": true, "IP_TTL": true, "IPV6_TCLASS": true, "IPV6_UNICAST_HOPS": true,
}

// Control runs f with the descriptor of a shadow that has the connection's
// options. What f sets becomes the connection's; the error names an option that
// cannot.
func (r rawTCP) Control(f func(fd uintptr)) error {
	c := r.c
	c.keepAliveMu.Lock()
	keepAlive := c.keepAlive
	c.keepAliveMu.Unlock()
	use := shadowUse{kind: shadowKind{unix.SOCK_STREAM, inet4, false}, live: liveTCP}
	if len(c.laddr.addr.IP) == IPv6len {
		use.kind.family = inet6
	}
	use.prepare = func(fd int) { setKeepAliveOf(fd, keepAlive) }
	use.apply = func(set *socketOptions, before, after map[string]int) error {
		if set.keepAlive != nil {
			if err := c.setKeepAlive(func(stack.KeepAlive) stack.KeepAlive { return *set.keepAlive }); err != nil {
				return inner(c, err)
			}
		}
		if set.rcvBuf != 0 {
			c.stack.SetReadBuffer(set.rcvBuf)
		}
		if set.sndBuf != 0 {
			c.stack.SetWriteBuffer(set.sndBuf)
		}
		if set.linger != nil {
			c.stack.SetLinger(*set.linger)
		}
		if o := headerOptions(after, use.kind.family); o != headerOptions(before, use.kind.family) {
			c.stack.SetHeaderOptions(o)
		}
		if before["TCP_USER_TIMEOUT"] != after["TCP_USER_TIMEOUT"] {
			c.stack.SetUserTimeout(set.userTimeout)
		}
		if before["TCP_NODELAY"] != after["TCP_NODELAY"] {
			c.stack.SetNoDelay(after["TCP_NODELAY"] != 0)
		}
		return nil
	}
	err := c.shadow.control(use, f)
	if err != nil {
		return &OpError{Op: "raw-control", Net: c.net, Addr: &c.laddr.addr, Err: err}
	}
	return nil
}

// setKeepAliveOf makes a shadow's options the connection's, in whole seconds.
func setKeepAliveOf(fd int, k stack.KeepAlive) {
	on := 0
	if k.Enable {
		on = 1
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, on)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.Idle/time.Second))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Interval/time.Second))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count)
}
