package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

// defaultUDPBuffer is Linux's net.core.rmem_default.
const defaultUDPBuffer = 212992

// UDPOptions are a UDP socket's. The zero value of a field takes its default.
type UDPOptions struct {
	V6Only    bool // "::" takes no IPv4
	ReusePort bool // others with ReusePort may be bound to the same address
	FreeBind  bool // the address need not be the host's, yet
	RcvBuf    int  // bytes of datagrams that wait for a read; default 208 KiB
	SndBuf    int  // accepted for symmetry: datagrams are never held back

	// ReuseAddr lets others with ReuseAddr be bound to the same address. The
	// last one gets what comes to the host alone, all get what comes to a
	// group or by broadcast (SO_REUSEADDR of Linux).
	ReuseAddr   bool
	NoBroadcast bool // EACCES for datagrams to a broadcast address

	// TOS is the type of service byte over IPv4, TrafficClass that over IPv6:
	// DSCP (RFC 2474) and ECN (RFC 3168).
	TOS, TrafficClass uint8
	TTL, HopLimit     uint8 // over IPv4 and IPv6, to one host; default 64

	// Datagrams to a group: their time to live or hop limit, default 1; the
	// index of the interface that they leave through, default the first that
	// is not loopback; and whether this host's own members get none.
	MulticastTTL       uint8
	MulticastInterface int
	NoMulticastLoop    bool
}

// UDPConn is a UDP socket. All methods may be called from any goroutine.
type UDPConn struct {
	host   *Host
	bind   binding
	local  netip.AddrPort
	remote netip.AddrPort // zero unless connected
	key    tuple          // when connected
	opts   UDPOptions

	mu       sync.Mutex // receiving
	waits    waitList
	ring     []datagram // a ring: n of them from first on
	first, n int
	bytes    int // that they cost
	limit    int
	ended    bool         // the last holder has closed it
	others   []*UDPHandle // those that are not closed
	soft     error        // from ICMP, for the next call on a connected socket
	dead     error        // why nothing will come any more

	home atomic.Pointer[queue] // of last: what a reader polls

	joined []membership // under mu

	sendMu   sync.Mutex
	last     path // of the destination last sent to
	lastFrom sendKey
	lastOK   bool
	batch    [1]*nic.Packet
	id       uint32 // of fragmented datagrams

	udpHolder // the UDPConn; others are its UDPHandles
}

// ListenUDP binds a socket to laddr. A zero address, or "::" without V6Only,
// takes IPv4 and IPv6; port 0 is replaced by a free one.
func (h *Host) ListenUDP(laddr netip.AddrPort, o UDPOptions) (*UDPConn, error) {
	u, err := h.newUDP(laddr, o)
	if err != nil {
		return nil, err
	}
	if err := h.udp.add(u); err != nil {
		return nil, err
	}
	ip := laddr.Addr()
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	u.local = netip.AddrPortFrom(ip, u.bind.port)
	return u, u.late()
}

// DialUDP makes a socket that is connected to raddr: it sends there, and
// receives from there alone.
func (h *Host) DialUDP(laddr, raddr netip.AddrPort, o UDPOptions) (*UDPConn, error) {
	remote := raddr.Addr().Unmap()
	if !remote.IsValid() {
		return nil, errInvalid
	}
	if remote.IsUnspecified() {
		remote = loopbackOf(remote)
	}
	u, err := h.newUDP(laddr, o)
	if err != nil {
		return nil, err
	}
	src := laddr.Addr().Unmap()
	if src.IsValid() && src.IsUnspecified() {
		src = netip.Addr{}
	}
	if src.IsValid() && src.Is4() != remote.Is4() {
		return nil, errInvalid
	}
	via := 0
	if remote.IsMulticast() {
		via = o.MulticastInterface
	}
	p, err := h.findPathVia(via, remote, src.WithZone(""), h.random())
	if err != nil {
		return nil, err
	}
	if o.NoBroadcast && p.iface.isBroadcast(p.dst) {
		return nil, syscall.EACCES
	}
	if isLinkLocal(remote) {
		remote = remote.WithZone(p.iface.name)
	}
	u.setLast(p)
	u.lastFrom = sendKey{p.src, via}
	u.remote = netip.AddrPortFrom(remote, raddr.Port())
	u.bind.addr, u.bind.only = toAddr(p.src), false
	u.key = h.tupleOf(netip.AddrPortFrom(p.src, u.bind.port), u.remote, p.iface)
	if err := h.udp.add(u); err != nil {
		return nil, err
	}
	u.local = netip.AddrPortFrom(p.src, u.bind.port)
	return u, u.late()
}

func (h *Host) newUDP(laddr netip.AddrPort, o UDPOptions) (*UDPConn, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	b, err := h.bindAddr(laddr, o.V6Only)
	if err != nil && !o.FreeBind {
		return nil, err
	}
	setDefault(&o.RcvBuf, defaultUDPBuffer)
	u := &UDPConn{host: h, bind: b, opts: o, limit: o.RcvBuf, id: uint32(h.random())}
	u.udpHolder.init(u)
	return u, nil
}

// late closes a socket that the host's Close has missed.
func (u *UDPConn) late() error {
	if u.host.closed.Load() {
		u.Close()
		return ErrClosed
	}
	return nil
}

// LocalAddr is the address that the socket is bound to.
func (u *UDPConn) LocalAddr() netip.AddrPort { return u.local }

// RemoteAddr is the peer of a connected socket, else zero.
func (u *UDPConn) RemoteAddr() netip.AddrPort { return u.remote }

// receiveUDP takes a datagram: p is cut to it (RFC 768).
func (q *queue) receiveUDP(p *nic.Packet, d *ipPacket, now time.Duration) {
	h := q.host
	dg, err := header.ParseUDP(p.Bytes())
	if err != nil {
		h.drop(p, DropUDPHeader)
		return
	}
	if n := p.Len(); dg.Length() != n { // bytes behind the datagram: the sum is of UDP's length
		d.sum = add16(add16(d.sum, ^uint16(n)), uint16(dg.Length()))
	}
	if dg.Checksum() == 0 && d.dst.Is6() || p.Checksum == nic.ChecksumNone && dg.Checksum() != 0 &&
		!(q.iface.offloads.Has(nic.RxBarePartial) && dg.Checksum() == d.sum) && !dg.ChecksumOK(d.sum) {
		h.drop(p, DropUDPChecksum)
		return
	}
	h.count.udpIn.Add(1)
	k := tuple{local: toAddr(d.dst), remote: toAddr(d.src), localPort: dg.DstPort(), remotePort: dg.SrcPort()}
	from := d.src
	if isLinkLocal(from) {
		k.scope = uint32(q.iface.index)
		from = from.WithZone(q.iface.name)
	}
	info := DatagramInfo{To: d.dst, Interface: q.iface.index, TOS: d.tos, TTL: d.ttl}
	if !d.unicast && !h.isLocal(d.dst) {
		q.receiveGroup(p, dg.Length(), &k, from, &info)
		return
	}
	u := q.lookupUDP(&k)
	if u == nil {
		if d.unicast {
			h.unreachable(q, d, header.ICMPv4PortUnreachable, now)
		}
		h.drop(p, DropNoPort)
		return
	}
	n := dg.Length()
	p.Trim(n)
	p.TrimFront(header.UDPLen)
	q.datagram(u, p, netip.AddrPortFrom(from, k.remotePort), &info)
}

// ReadFrom reads a datagram. What does not fit b is lost: full is how long it
// was, and from is who sent it.
func (u *UDPConn) ReadFrom(b []byte) (n, full int, from netip.AddrPort, err error) {
	return u.read(&u.udpHolder, b, nil)
}

// Read reads a datagram. Into no buffer it reads none, as package net.
func (u *UDPConn) Read(b []byte) (int, error) {
	return u.readOne(&u.udpHolder, b)
}

func (u *UDPConn) readOne(by *udpHolder, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, u.open(by)
	}
	n, _, _, err := u.read(by, b, nil)
	return n, err
}

// open is ErrClosed once the holder, or the socket, is closed.
func (u *UDPConn) open(by *udpHolder) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if by.closed || u.ended {
		return ErrClosed
	}
	return nil
}

// read is ReadFrom that also tells what came with the datagram, unless info is
// nil.
func (u *UDPConn) read(by *udpHolder, b []byte, info *DatagramInfo) (n, full int, from netip.AddrPort, err error) {
	u.mu.Lock()
	for range 2 {
		q := u.home.Load()
		if q == nil || u.readable(by) {
			break
		}
		u.mu.Unlock()
		n := q.poll()
		u.mu.Lock()
		if n == 0 {
			break
		}
	}
	for {
		switch {
		case by.closed || u.ended:
			err = ErrClosed
		case by.expired:
			err = errDeadline
		case u.n > 0:
			d := u.ring[u.first]
			u.ring[u.first] = datagram{}
			u.first = (u.first + 1) & (len(u.ring) - 1)
			u.n--
			u.bytes -= d.p.Len() + datagramCost
			u.mu.Unlock()
			n = copy(b, d.p.Bytes())
			full = d.p.Len()
			if defect.On(defect.TruncationTooMuch) {
				n = full
			}
			d.p.Release()
			if info != nil {
				*info = d.info
			}
			return n, full, d.from, nil
		case u.soft != nil:
			err = u.soft
			u.soft = nil
		case u.dead != nil:
			err = u.dead
		default:
			u.waits.wait(u.host, &u.mu)
			continue
		}
		u.mu.Unlock()
		return 0, 0, netip.AddrPort{}, err
	}
}

// TryReadFrom is ReadFrom that returns ErrWouldBlock instead of waiting.
func (u *UDPConn) TryReadFrom(b []byte) (n, full int, from netip.AddrPort, err error) {
	if !u.ready(&u.udpHolder) {
		return 0, 0, netip.AddrPort{}, ErrWouldBlock
	}
	return u.ReadFrom(b)
}

// ready reports whether ReadFrom would return at once.
func (u *UDPConn) ready(by *udpHolder) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.readable(by)
}

// readable is ready with u.mu held.
func (u *UDPConn) readable(by *udpHolder) bool {
	return by.closed || u.ended || by.expired || u.n > 0 || u.soft != nil || u.dead != nil
}

// SetReadBuffer sets how many bytes of datagrams may wait.
func (u *UDPConn) SetReadBuffer(bytes int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return ErrClosed
	}
	u.limit = max(bytes, minBuffer)
	return nil
}

// SetWriteBuffer is accepted: a datagram goes to the device at once.
func (u *UDPConn) SetWriteBuffer(int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return ErrClosed
	}
	return nil
}
