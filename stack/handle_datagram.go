package stack

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack/timer"
)

// ListenerHandle is another holder of a TCPListener: see TCPHandle.
type ListenerHandle struct {
	listener *TCPListener
	holder   holder
}

// Dup returns another holder of the listener, or ErrClosed.
func (l *TCPListener) Dup() (*ListenerHandle, error) {
	h := &ListenerHandle{listener: l}
	h.holder.init()
	h.holder.timer.Init(h, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, ErrClosed
	}
	l.others = append(l.others, h)
	return h, nil
}

// Expire is called by the host's timer wheel.
func (h *ListenerHandle) Expire(_ int, now time.Duration) { h.listener.expire(&h.holder, now) }

// Accept is as TCPListener.Accept.
func (h *ListenerHandle) Accept() (*TCPConn, error) { return h.listener.accept(&h.holder) }

// SetDeadline is as TCPListener.SetDeadline, for the handle's calls.
func (h *ListenerHandle) SetDeadline(t time.Time) error { return h.listener.setDeadline(&h.holder, t) }

// Close ends the handle's calls, and the listener if it is the last holder.
func (h *ListenerHandle) Close() error { return h.listener.close(&h.holder) }

// udpHolder is a holder of a socket for datagrams.
type udpHolder struct {
	holder

	// Under sendMu.
	sendExpired bool
	sendUntil   time.Duration
}

func (o *udpHolder) init(t timer.Expirer) {
	o.holder.init()
	o.sendUntil = Never
	o.timer.Init(t, 0)
}

// UDPHandle is another holder of a UDPConn: see TCPHandle.
type UDPHandle struct {
	conn   *UDPConn
	holder udpHolder
}

// Dup returns another holder of the socket, or ErrClosed.
func (u *UDPConn) Dup() (*UDPHandle, error) {
	h := &UDPHandle{conn: u}
	h.holder.init(h)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return nil, ErrClosed
	}
	u.others = append(u.others, h)
	return h, nil
}

// Expire is called by the host's timer wheel.
func (h *UDPHandle) Expire(_ int, now time.Duration) { h.conn.expire(&h.holder.holder, now) }

// Read is as UDPConn.Read.
func (h *UDPHandle) Read(b []byte) (int, error) { return h.conn.readOne(&h.holder, b) }

// ReadMsg is as UDPConn.ReadMsg.
func (h *UDPHandle) ReadMsg(b []byte) (n, full int, from netip.AddrPort, info DatagramInfo, err error) {
	n, full, from, err = h.conn.read(&h.holder, b, &info)
	return
}

// Write is as UDPConn.Write.
func (h *UDPHandle) Write(b []byte) (int, error) {
	return h.conn.send(&h.holder, b, h.conn.remote, nil)
}

// WriteTo is as UDPConn.WriteTo.
func (h *UDPHandle) WriteTo(b []byte, dst netip.AddrPort) (int, error) {
	if h.conn.remote.IsValid() {
		return 0, syscall.EISCONN
	}
	return h.conn.send(&h.holder, b, dst, nil)
}

// WriteMsg is as UDPConn.WriteMsg.
func (h *UDPHandle) WriteMsg(b []byte, dst netip.AddrPort, o SendOptions) (int, error) {
	return h.conn.writeMsg(&h.holder, b, dst, &o)
}

// SetReadDeadline is as UDPConn.SetReadDeadline, for the handle's calls.
func (h *UDPHandle) SetReadDeadline(t time.Time) error { return h.conn.setReadDeadline(&h.holder, t) }

// SetWriteDeadline is as UDPConn.SetWriteDeadline, for the handle's calls.
func (h *UDPHandle) SetWriteDeadline(t time.Time) error { return h.conn.setWriteDeadline(&h.holder, t) }

// Close ends the handle's calls, and the socket if it is the last holder.
func (h *UDPHandle) Close() error {
	_, err := h.conn.close(&h.holder)
	return err
}

// ICMPHandle is another holder of an ICMPConn: see TCPHandle.
type ICMPHandle struct {
	conn *ICMPConn
	udp  *UDPHandle
}

// Dup returns another holder of the socket, or ErrClosed.
func (c *ICMPConn) Dup() (*ICMPHandle, error) {
	u, err := c.sock.Dup()
	if err != nil {
		return nil, err
	}
	return &ICMPHandle{c, u}, nil
}

// ReadMsg is as ICMPConn.ReadMsg.
func (h *ICMPHandle) ReadMsg(b []byte) (n, full int, from netip.Addr, info DatagramInfo, err error) {
	return h.conn.readMsg(&h.udp.holder, b)
}

// WriteMsg is as ICMPConn.WriteMsg.
func (h *ICMPHandle) WriteMsg(b []byte, dst netip.Addr, o SendOptions) (int, error) {
	return h.conn.writeMsg(&h.udp.holder, b, dst, &o)
}

// SetReadDeadline is as ICMPConn.SetReadDeadline, for the handle's calls.
func (h *ICMPHandle) SetReadDeadline(t time.Time) error { return h.udp.SetReadDeadline(t) }

// SetWriteDeadline is as ICMPConn.SetWriteDeadline, for the handle's calls.
func (h *ICMPHandle) SetWriteDeadline(t time.Time) error { return h.udp.SetWriteDeadline(t) }

// Close ends the handle's calls, and the socket if it is the last holder.
func (h *ICMPHandle) Close() error { return h.conn.close(&h.udp.holder) }
