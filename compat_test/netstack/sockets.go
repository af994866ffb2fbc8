package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Conn is a TCP connection: gonet's, which has CloseWrite and the deadlines,
// with a way to reset it.
type Conn struct {
	*gonet.TCPConn
	endpoint tcpip.Endpoint
}

// Reset closes the connection by a RST segment, as SO_LINGER 0 makes close do.
func (c *Conn) Reset() error {
	c.endpoint.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true, Timeout: 0})
	return c.TCPConn.Close()
}

// Dial opens a connection to a remote address.
func (h *Host) Dial(ctx context.Context, to netip.AddrPort) (*Conn, error) {
	var queue waiter.Queue
	ep, terr := h.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), &queue)
	if terr != nil {
		return nil, fmt.Errorf("netstack: dial %v: %v", to, terr)
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	terr = ep.Connect(fullAddress(to))
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ready:
			terr = ep.LastError()
		case <-ctx.Done():
			ep.Close()
			return nil, fmt.Errorf("netstack: dial %v: %w", to, ctx.Err())
		}
	}
	if terr != nil {
		ep.Close()
		return nil, fmt.Errorf("netstack: dial %v: %w", to, asError(terr))
	}
	return &Conn{TCPConn: gonet.NewTCPConn(&queue, ep), endpoint: ep}, nil
}

// asError is netstack's error as the system's, for those that a dial meets.
func asError(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrNetworkUnreachable:
		return syscall.ENETUNREACH
	}
	return errors.New(err.String())
}

// Listener accepts TCP connections. It implements net.Listener.
type Listener struct {
	endpoint tcpip.Endpoint
	queue    *waiter.Queue
	address  net.Addr
	once     sync.Once
	closed   chan struct{}
}

// Listen listens on a local address. The backlog is larger than any test's
// number of connections.
func (h *Host) Listen(on netip.AddrPort) (*Listener, error) {
	l := &Listener{queue: &waiter.Queue{}, address: net.TCPAddrFromAddrPort(on), closed: make(chan struct{})}
	var err tcpip.Error
	if l.endpoint, err = h.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(on.Addr()), l.queue); err != nil {
		return nil, fmt.Errorf("netstack: listen on %v: %v", on, err)
	}
	if err = l.endpoint.Bind(fullAddress(on)); err == nil {
		err = l.endpoint.Listen(4096)
	}
	if err != nil {
		l.endpoint.Close()
		return nil, fmt.Errorf("netstack: listen on %v: %v", on, err)
	}
	return l, nil
}

// Accept implements net.Listener; the connection is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.queue.EventRegister(&entry)
	defer l.queue.EventUnregister(&entry)
	for {
		ep, queue, err := l.endpoint.Accept(nil)
		if err == nil {
			return &Conn{TCPConn: gonet.NewTCPConn(queue, ep), endpoint: ep}, nil
		}
		if _, none := err.(*tcpip.ErrWouldBlock); !none {
			select {
			case <-l.closed:
				return nil, net.ErrClosed
			default:
			}
			return nil, fmt.Errorf("netstack: accept on %v: %v", l.address, err)
		}
		select {
		case <-ready:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener. It ends a waiting Accept.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closed)
		l.endpoint.Close()
		err = nil
	})
	return err
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.address }

// ListenUDP binds a UDP socket.
func (h *Host) ListenUDP(on netip.AddrPort) (*gonet.UDPConn, error) {
	local := fullAddress(on)
	return gonet.DialUDP(h.stack, &local, nil, protocolOf(on.Addr()))
}

// DialUDP connects a UDP socket.
func (h *Host) DialUDP(to netip.AddrPort) (*gonet.UDPConn, error) {
	remote := fullAddress(to)
	return gonet.DialUDP(h.stack, nil, &remote, protocolOf(to.Addr()))
}

// TimeWait shortens the time that closed connections linger for, which is a
// minute otherwise.
func (h *Host) TimeWait(d time.Duration) error {
	o := tcpip.TCPTimeWaitTimeoutOption(d)
	if err := h.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &o); err != nil {
		return fmt.Errorf("netstack: setting the TIME-WAIT time: %v", err)
	}
	return nil
}
