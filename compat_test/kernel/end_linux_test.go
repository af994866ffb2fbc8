package kernel

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/fastnet"
)

// patience bounds every wait, of transfers too; the machine may be busy with other
// work. Only what hangs is to be told by it.
const patience = 3 * time.Minute

// end is one of the two stacks on the link.
type end interface {
	name() string
	listen(t testing.TB, on netip.AddrPort) net.Listener
	dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	listenPacket(t testing.TB, on netip.AddrPort) net.PacketConn
	dialPacket(t testing.TB, to netip.AddrPort) net.Conn
}

// tcpConn is what every TCP connection of either end is.
type tcpConn interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
	SetReadBuffer(bytes int) error
}

// kernelEnd is the kernel's stack in a namespace.
type kernelEnd struct {
	ns     *namespace
	rcvBuf int  // SO_RCVBUF, set before the handshake; 0: not at all
	mptcp  bool // dial by Multipath TCP
}

func (kernelEnd) name() string { return "kernel" }

func (k *kernelEnd) control(_, _ string, c syscall.RawConn) (err error) {
	if k.rcvBuf == 0 {
		return nil
	}
	failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, k.rcvBuf)
	})
	if failed != nil {
		return failed
	}
	return err
}

func (k *kernelEnd) listen(t testing.TB, on netip.AddrPort) (l net.Listener) {
	t.Helper()
	lc := net.ListenConfig{Control: k.control}
	lc.SetMultipathTCP(false)
	require.NoError(t, k.ns.do(func() (err error) {
		l, err = lc.Listen(context.Background(), "tcp", on.String())
		return err
	}))
	return l
}

func (k *kernelEnd) dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	d := net.Dialer{Control: k.control}
	d.SetMultipathTCP(k.mptcp)
	err = k.ns.do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	return c, err
}

func (k *kernelEnd) listenPacket(t testing.TB, on netip.AddrPort) (c net.PacketConn) {
	t.Helper()
	require.NoError(t, k.ns.do(func() (err error) {
		c, err = net.ListenPacket("udp", on.String())
		return err
	}))
	return c
}

func (k *kernelEnd) dialPacket(t testing.TB, to netip.AddrPort) (c net.Conn) {
	t.Helper()
	require.NoError(t, k.ns.do(func() (err error) {
		c, err = net.Dial("udp", to.String())
		return err
	}))
	return c
}

// fastnetEnd is ours.
type fastnetEnd struct{ *fastnet.Network }

func (fastnetEnd) name() string { return "fastnet" }

func (e fastnetEnd) listen(t testing.TB, on netip.AddrPort) net.Listener {
	t.Helper()
	l, err := e.Listen("tcp", on.String())
	require.NoError(t, err)
	return l
}

func (e fastnetEnd) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return e.DialContext(ctx, "tcp", to.String())
}

func (e fastnetEnd) listenPacket(t testing.TB, on netip.AddrPort) net.PacketConn {
	t.Helper()
	c, err := e.ListenPacket("udp", on.String())
	require.NoError(t, err)
	return c
}

func (e fastnetEnd) dialPacket(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := e.Dial("udp", to.String())
	require.NoError(t, err)
	return c
}
