package stack

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack/header"
)

// The most data that a UDP datagram can have: IPv4 counts its header.
const (
	maxDatagram4 = 65535 - header.IPv4MinLen - header.UDPLen
	maxDatagram6 = 65535 - header.UDPLen
)

// Write sends a datagram to the peer of a connected socket.
func (u *UDPConn) Write(b []byte) (int, error) {
	return u.send(&u.udpHolder, b, u.remote, nil)
}

// WriteTo sends a datagram to dst. On a connected socket it returns EISCONN.
func (u *UDPConn) WriteTo(b []byte, dst netip.AddrPort) (int, error) {
	if u.remote.IsValid() {
		return 0, syscall.EISCONN
	}
	return u.send(&u.udpHolder, b, dst, nil)
}

// status is why nothing can be sent, or nil.
func (u *UDPConn) status(by *udpHolder) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if by.closed || u.ended {
		return ErrClosed
	}
	if err := u.soft; err != nil {
		u.soft = nil
		return err
	}
	return nil
}

// errNoBuffer is that the device has no buffer for a datagram.
var errNoBuffer = errors.New("no buffer")

// sendTries is how often a datagram waits for a buffer.
const sendTries = 64

// send sends a datagram. o is what differs from the socket's options, if
// anything does.
//
// A sender that is faster than the device, or than the loopback interface's other
// end, waits a little: Linux makes it wait for its send buffer. Then the datagram is
// lost without an error, as it is in Linux where a device's queue is full
// (send(2), ENOBUFS).
func (u *UDPConn) send(by *udpHolder, b []byte, dst netip.AddrPort, o *SendOptions) (int, error) {
	for range sendTries {
		if n, err := u.trySend(by, b, dst, o); err != errNoBuffer {
			return n, err
		}
		if q := u.home.Load(); q == nil || q.poll() == 0 {
			runtime.Gosched()
		}
	}
	u.host.count.drops[DropNoBuffer].Add(1)
	return len(b), nil
}

// trySend is send without waiting: its error is errNoBuffer then.
func (u *UDPConn) trySend(by *udpHolder, b []byte, dst netip.AddrPort, o *SendOptions) (int, error) {
	if err := u.status(by); err != nil {
		return 0, err
	}
	if defect.On(defect.MessageTooLong) && len(b) > maxDatagram4 {
		return len(b), nil
	}
	h := u.host
	now := h.now()
	u.sendMu.Lock()
	defer u.sendMu.Unlock()
	if by.sendExpired || by.sendUntil <= now {
		return 0, errDeadline
	}
	if !dst.IsValid() && dst == u.remote {
		return 0, syscall.EDESTADDRREQ
	}
	ip := dst.Addr().Unmap()
	switch {
	case !ip.IsValid() || dst.Port() == 0:
		return 0, errInvalid
	case u.bind.addr.is4() && !ip.Is4():
		return 0, syscall.EAFNOSUPPORT
	case (u.bind.only || u.bind.addr != any6 && !u.bind.addr.is4()) && ip.Is4():
		return 0, errNetUnreachable
	case len(b) > maxDatagram4 && (ip.Is4() || len(b) > maxDatagram6):
		return 0, syscall.EMSGSIZE
	}
	if ip.IsUnspecified() { // as Linux: this host
		ip = loopbackOf(ip)
	}
	k, err := u.sendKey(ip, o)
	if err != nil {
		return 0, err
	}
	if err := u.route(ip, k, now); err != nil {
		return 0, err
	}
	p := &u.last
	group := p.dst.IsMulticast()
	if !group && p.iface.isBroadcast(p.dst) {
		if u.opts.NoBroadcast {
			return 0, syscall.EACCES
		}
		group = true
	}
	u.mark(p, o)
	n, err := u.sendOn(p, b, dst.Port(), now)
	if err == errNoBuffer {
		return 0, err
	}
	h.count.udpOut.Add(1)
	if group && err == nil && u.loops(p) {
		loop := *p
		loop.iface, loop.q, loop.entry = h.loop, h.loop.queues[0], nil
		loop.known = pathMTU{}
		u.sendOn(&loop, b, dst.Port(), now)
	}
	return n, err
}

// sendOn builds a datagram and sends it on p. sendMu is held.
func (u *UDPConn) sendOn(p *path, b []byte, dstPort uint16, now time.Duration) (int, error) {
	hl := header.EthernetLen + header.IPv4MinLen
	if p.dst.Is6() {
		hl = header.EthernetLen + header.IPv6Len
	}
	size := hl - header.EthernetLen + header.UDPLen + len(b)
	if size > leastMTU(p.dst) && !p.iface.loopback {
		u.noteLarge(p, dstPort, min(size, p.mtu()), now)
	}
	if size > p.mtu() {
		return u.fragment(p, b, dstPort, now)
	}
	pkt := p.q.dev.Alloc(hl + header.UDPLen + len(b))
	if pkt == nil || pkt.Tailroom() < hl+header.UDPLen+len(b) {
		if pkt != nil {
			pkt.Release()
		}
		return 0, errNoBuffer
	}
	f := pkt.Extend(hl + header.UDPLen + len(b))
	p.header(f, header.ProtoUDP, p.ttl(), p.tos)
	finishIP(f[header.EthernetLen:hl], header.UDPLen+len(b))
	n := header.UDPLen + len(b)
	sum := add16(p.pseudoSum(header.ProtoUDP), uint16(n))
	sum = header.CopyChecksum(f[hl+header.UDPLen:], b, sum)
	header.PutUDP(f[hl:], u.bind.port, dstPort, n, sum)
	u.batch[0] = pkt
	err := p.send(u.batch[:], now)
	u.batch[0] = nil
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// route makes u.last the path to dst that k asks for. sendMu is held.
func (u *UDPConn) route(dst netip.Addr, k sendKey, now time.Duration) error {
	// That of a connected socket is the one, also where dst has a zone.
	if u.lastOK && u.lastFrom == k && (u.last.dst == dst || u.remote.IsValid()) && u.last.current() &&
		u.last.iface.up.Load() && (u.last.known.mtu == 0 || now < u.last.known.until) {
		return nil
	}
	p, err := u.host.findPathVia(k.via, dst, k.from, uint64(u.bind.port))
	if err != nil {
		return err
	}
	u.setLast(p)
	u.lastFrom = k
	return nil
}

func (u *UDPConn) setLast(p path) {
	u.last, u.lastOK = p, true
	u.home.Store(p.q)
}

// fragment sends a datagram that is larger than the MTU. sendMu is held.
func (u *UDPConn) fragment(p *path, b []byte, dstPort uint16, now time.Duration) (int, error) {
	whole := make([]byte, header.UDPLen+len(b))
	sum := add16(p.pseudoSum(header.ProtoUDP), uint16(len(whole)))
	sum = header.CopyChecksum(whole[header.UDPLen:], b, sum)
	header.PutUDP(whole, u.bind.port, dstPort, len(whole), sum)
	u.id++
	if err := p.sendFragments(header.ProtoUDP, whole, u.id, now); err != nil {
		return 0, err
	}
	return len(b), nil
}
