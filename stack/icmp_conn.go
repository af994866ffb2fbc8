package stack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// ICMPConn is a raw socket for ICMP or ICMPv6: it gets a copy of every message
// that the host receives, those included that the host acts on itself, and
// sends what it is given. All methods may be called from any goroutine.
type ICMPConn struct {
	host          *Host
	v6            bool
	local, remote netip.Addr // not valid: any
	remoteZone    string
	// sock has the receive queue, deadlines and options; it is not in the
	// table of UDP sockets.
	sock *UDPConn
}

// icmpSockets are a host's. Look-ups read a snapshot.
type icmpSockets struct {
	mu   sync.Mutex
	snap atomic.Pointer[[]*ICMPConn]
}

func (t *icmpSockets) all() []*ICMPConn {
	if s := t.snap.Load(); s != nil {
		return *s
	}
	return nil
}

func (t *icmpSockets) change(f func([]*ICMPConn) []*ICMPConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := f(slices.Clone(t.all()))
	t.snap.Store(&s)
}

// ListenICMP makes a socket for ICMP, or ICMPv6 with v6, that receives what is
// sent to local, or to any address if local is not valid or unspecified. The
// errors are EADDRNOTAVAIL and ErrClosed. Of o only what UDP and ICMP share has
// a meaning.
func (h *Host) ListenICMP(v6 bool, local netip.Addr, o UDPOptions) (*ICMPConn, error) {
	if local = local.Unmap(); local.IsUnspecified() {
		local = netip.Addr{}
	}
	if local.IsValid() && local.Is6() != v6 {
		return nil, errInvalid
	}
	bind := local
	if !bind.IsValid() {
		if bind = netip.IPv4Unspecified(); v6 {
			bind = netip.IPv6Unspecified()
		}
	}
	s, err := h.newUDP(netip.AddrPortFrom(bind, 0), o)
	if err != nil {
		return nil, err
	}
	c := &ICMPConn{host: h, v6: v6, local: local.WithZone(""), sock: s}
	return c, c.add()
}

// DialICMP is ListenICMP with a peer: what others send is not received.
func (h *Host) DialICMP(local, remote netip.Addr, o UDPOptions) (*ICMPConn, error) {
	remote = remote.Unmap()
	if !remote.IsValid() {
		return nil, errInvalid
	}
	if remote.IsUnspecified() {
		remote = loopbackOf(remote)
	}
	if local = local.Unmap(); local.IsUnspecified() {
		local = netip.Addr{}
	}
	p, err := h.findPath(remote, local.WithZone(""), 0)
	if err != nil {
		return nil, err
	}
	if local.IsValid() && local.Is4() != remote.Is4() {
		return nil, errInvalid
	}
	s, err := h.newUDP(netip.AddrPortFrom(p.src, 0), o)
	if err != nil {
		return nil, err
	}
	c := &ICMPConn{host: h, v6: remote.Is6(), local: p.src, remote: p.dst, remoteZone: remote.Zone(), sock: s}
	return c, c.add()
}

func (c *ICMPConn) add() error {
	c.host.icmp.change(func(s []*ICMPConn) []*ICMPConn { return append(s, c) })
	if c.host.closed.Load() { // Close may have missed it
		c.Close()
		return ErrClosed
	}
	return nil
}

// LocalAddr is the address that the socket is bound to, not valid if none.
func (c *ICMPConn) LocalAddr() netip.Addr { return c.local }

// RemoteAddr is the peer of a connected socket, else not valid.
func (c *ICMPConn) RemoteAddr() netip.Addr {
	if c.remoteZone != "" {
		return c.remote.WithZone(c.remoteZone)
	}
	return c.remote
}

// deliverICMP gives the sockets that want it a copy of a message: b is the whole
// packet over IPv4, and the message alone over IPv6.
func (q *queue) deliverICMP(d *ipPacket, b []byte) {
	h := q.host
	for _, c := range h.icmp.all() {
		if c.v6 != d.dst.Is6() || c.local.IsValid() && c.local != d.dst || c.remote.IsValid() && c.remote != d.src {
			continue
		}
		pool := h.held
		if len(b) > pool.Room() {
			pool = h.big
		}
		p := pool.Get()
		if p == nil {
			h.count.drops[DropNoBuffer].Add(1)
			return
		}
		copy(p.Extend(len(b)), b)
		from := d.src
		if isLinkLocal(from) {
			from = from.WithZone(q.iface.name)
		}
		info := DatagramInfo{To: d.dst, Interface: q.iface.index, TOS: d.tos, TTL: d.ttl}
		c.sock.push(p, netip.AddrPortFrom(from, 0), &info)
	}
}

// ReadMsg reads a message, over IPv4 with its IP header before it. What does not
// fit b is lost: full is how long it was.
func (c *ICMPConn) ReadMsg(b []byte) (n, full int, from netip.Addr, info DatagramInfo, err error) {
	return c.readMsg(&c.sock.udpHolder, b)
}

func (c *ICMPConn) readMsg(by *udpHolder, b []byte) (n, full int, from netip.Addr, info DatagramInfo, err error) {
	n, full, ap, err := c.sock.read(by, b, &info)
	return n, full, ap.Addr(), info, err
}

// WriteMsg sends a message, without an IP header, to dst, which is not valid for
// the peer of a connected socket. The checksum is the caller's over IPv4 and the
// stack's over IPv6, as in Linux (RFC 3542 section 3.1).
func (c *ICMPConn) WriteMsg(b []byte, dst netip.Addr, o SendOptions) (int, error) {
	return c.writeMsg(&c.sock.udpHolder, b, dst, &o)
}

func (c *ICMPConn) writeMsg(by *udpHolder, b []byte, dst netip.Addr, o *SendOptions) (int, error) {
	s, h := c.sock, c.host
	if err := s.status(by); err != nil {
		return 0, err
	}
	if !dst.IsValid() {
		dst = c.RemoteAddr()
	} else if c.remote.IsValid() {
		return 0, syscall.EISCONN
	}
	dst = dst.Unmap()
	now := h.now()
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	switch {
	case by.sendExpired || by.sendUntil <= now:
		return 0, errDeadline
	case !dst.IsValid():
		return 0, syscall.EDESTADDRREQ
	case dst.Is6() != c.v6:
		return 0, errInvalid
	case len(b) > maxDatagram4:
		return 0, syscall.EMSGSIZE
	case c.v6 && len(b) < 4:
		return 0, errInvalid // no room for the checksum
	}
	if dst.IsUnspecified() {
		dst = loopbackOf(dst)
	}
	k, err := s.sendKey(dst, o)
	if err != nil {
		return 0, err
	}
	if err := s.route(dst, k, now); err != nil {
		return 0, err
	}
	p := &s.last
	s.mark(p, o)
	if s.opts.NoBroadcast && p.iface.isBroadcast(p.dst) {
		return 0, syscall.EACCES
	}
	return len(b), c.transmit(p, b, now)
}

// transmit builds the packet of a message, or several.
func (c *ICMPConn) transmit(p *path, b []byte, now time.Duration) error {
	h := c.host
	proto, hl := uint8(header.ProtoICMP), header.EthernetLen+header.IPv4MinLen
	if c.v6 {
		proto, hl = header.ProtoICMPv6, header.EthernetLen+header.IPv6Len
	}
	if c.v6 {
		b = slices.Clone(b)
		clear(b[2:4])
		sum := add16(p.pseudoSum(proto), uint16(len(b)))
		binary.BigEndian.PutUint16(b[2:], ^header.Checksum(b, sum))
	}
	h.count.icmpOut.Add(1)
	if hl-header.EthernetLen+len(b) > p.mtu() {
		c.sock.id++
		err := p.sendFragments(proto, b, c.sock.id, now)
		if err == errNoBuffer {
			h.count.drops[DropNoBuffer].Add(1)
			return nil
		}
		return err
	}
	pkt := p.q.dev.Alloc(hl + len(b))
	if pkt == nil || pkt.Tailroom() < hl+len(b) {
		if pkt != nil {
			pkt.Release()
		}
		h.count.drops[DropNoBuffer].Add(1) // as a UDP socket's
		return nil
	}
	f := pkt.Extend(hl + len(b))
	p.header(f, proto, p.ttl(), p.tos)
	finishIP(f[header.EthernetLen:hl], len(b))
	copy(f[hl:], b)
	return p.send([]*nic.Packet{pkt}, now)
}

// SetDeadline sets both deadlines.
func (c *ICMPConn) SetDeadline(t time.Time) error { return c.sock.SetDeadline(t) }

// SetReadDeadline makes reads return os.ErrDeadlineExceeded from t on.
func (c *ICMPConn) SetReadDeadline(t time.Time) error { return c.sock.SetReadDeadline(t) }

// SetWriteDeadline makes writes return os.ErrDeadlineExceeded from t on.
func (c *ICMPConn) SetWriteDeadline(t time.Time) error { return c.sock.SetWriteDeadline(t) }

// SetReadBuffer sets how many bytes of messages may wait.
func (c *ICMPConn) SetReadBuffer(bytes int) error { return c.sock.SetReadBuffer(bytes) }

// SetWriteBuffer is accepted: a message goes to the device at once.
func (c *ICMPConn) SetWriteBuffer(bytes int) error { return c.sock.SetWriteBuffer(bytes) }

// Close closes the socket. While there are handles (see Dup) it only ends the
// ICMPConn's own calls. A second Close returns ErrClosed.
func (c *ICMPConn) Close() error { return c.close(&c.sock.udpHolder) }

func (c *ICMPConn) close(by *udpHolder) error {
	last, err := c.sock.close(by)
	if last {
		c.end()
	}
	return err
}

// end closes the socket whoever holds it still.
func (c *ICMPConn) end() {
	c.sock.end()
	c.host.icmp.change(func(s []*ICMPConn) []*ICMPConn {
		return slices.DeleteFunc(s, func(o *ICMPConn) bool { return o == c })
	})
}
