package stack

import (
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/reassembly"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// icmpLimiter bounds what strangers can make the host send: a token bucket for
// ICMP errors (RFC 4443 section 2.4 (f)) and one for RSTs of no connection. They
// are the host's, so what is left in one tells whether answers went to others: by
// it an attacker could find the open ports behind forged addresses, those of DNS
// queries for one (CVE-2020-25705). Hence it must not count exactly.
type icmpLimiter struct {
	mu             sync.Mutex
	rand           func() uint64
	errors, resets bucket
}

type bucket struct {
	tokens float64
	at     time.Duration
}

// take takes a token of a bucket that fills with rate tokens a second up to
// size: one on average, none, one or two by chance, as in Linux (icmp_global_allow).
func (b *bucket) take(now time.Duration, rate, size float64, rand func() uint64) bool {
	b.tokens = min(size, b.tokens+rate*(now-b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens -= float64(rand() % 3) // below 0, or the average were less than one
	return true
}

func (l *icmpLimiter) init(now time.Duration, rand func() uint64) {
	l.rand = rand
	l.errors = bucket{tokens: 50, at: now}
	l.resets = bucket{tokens: 1000, at: now}
}

func (l *icmpLimiter) allowError(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errors.take(now, 1000, 50, l.rand)
}

func (l *icmpLimiter) allowReset(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resets.take(now, 1000, 1000, l.rand)
}

// sendIP sends a datagram, its payload of n bytes written by build.
func (h *Host) sendIP(src, dst netip.Addr, proto uint8, n int, now time.Duration, build func(b []byte)) {
	p, err := h.findPath(dst, src, 0)
	if err != nil {
		h.count.drops[DropNoRoute].Add(1)
		return
	}
	var hdr [header.EthernetLen + header.IPv6Len]byte
	hl := p.header(hdr[:], proto, 64, 0)
	if n+hl-header.EthernetLen > p.mtu() {
		whole := make([]byte, n)
		build(whole)
		h.count.icmpOut.Add(1)
		p.sendFragments(proto, whole, uint32(h.random()), now)
		return
	}
	pkt := p.q.dev.Alloc(hl + n)
	if pkt == nil {
		h.count.drops[DropNoBuffer].Add(1)
		return
	}
	b := pkt.Extend(hl + n)
	copy(b, hdr[:hl])
	finishIP(b[header.EthernetLen:hl], n)
	build(b[hl:])
	h.count.icmpOut.Add(1)
	p.send([]*nic.Packet{pkt}, now)
}

// receiveICMPv4 handles a message (RFC 792, RFC 1122 section 3.2.2).
func (q *queue) receiveICMPv4(p *nic.Packet, d *ipPacket, now time.Duration) {
	h := q.host
	m, err := header.ParseICMPv4(p.Bytes())
	if err != nil || p.Checksum != nic.ChecksumVerified && !m.ChecksumOK() {
		h.drop(p, DropICMP)
		return
	}
	h.count.icmpIn.Add(1)
	q.deliverICMP(d, d.raw)
	switch {
	case m.Type() == header.ICMPv4Echo:
		if d.unicast { // a broadcast may be ignored (section 3.2.2.6)
			h.sendIP(d.dst, d.src, header.ProtoICMP, len(m), now, func(b []byte) {
				header.PutICMPv4Echo(b, header.ICMPv4EchoReply, m.ID(), m.Seq(), m.Payload())
			})
		}
	case m.IsError() && d.unicast:
		h.count.icmpErrorsIn.Add(1)
		if quote, ok := m.Quote(); ok && h.isLocal(quote.Src) {
			if m.Type() == header.ICMPv4Unreachable && m.Code() == header.ICMPv4FragNeeded {
				h.tooBig(q.iface, &quote, m.MTU())
			} else if errno, hard := errnoV4(m.Type(), m.Code()); errno != 0 {
				h.softError(q.iface, &quote, errno, hard)
			}
		}
	}
	p.Release()
}

// errnoV4 is the error that Linux gives for an ICMP message, and whether it is
// one that ends what causes it.
func errnoV4(typ, code uint8) (syscall.Errno, bool) {
	switch typ {
	case header.ICMPv4Unreachable:
		switch code {
		case header.ICMPv4NetUnreachable, header.ICMPv4NetUnknown, header.ICMPv4NetProhibited, header.ICMPv4NetTOS:
			return syscall.ENETUNREACH, false
		case header.ICMPv4ProtoUnreachable:
			return syscall.ENOPROTOOPT, true
		case header.ICMPv4PortUnreachable:
			return syscall.ECONNREFUSED, true
		}
		return syscall.EHOSTUNREACH, false
	case header.ICMPv4TimeExceeded:
		return syscall.EHOSTUNREACH, false
	case header.ICMPv4ParamProblem:
		return syscall.EPROTO, true
	}
	return 0, false
}

func errnoV6(typ, code uint8) (syscall.Errno, bool) {
	switch typ {
	case header.ICMPv6Unreachable:
		switch code {
		case header.ICMPv6PortUnreachable:
			return syscall.ECONNREFUSED, true
		case header.ICMPv6NoRoute:
			return syscall.ENETUNREACH, false
		case header.ICMPv6AdminProhibited, header.ICMPv6SourcePolicy, header.ICMPv6RejectRoute:
			return syscall.EACCES, true
		}
		return syscall.EHOSTUNREACH, false
	case header.ICMPv6TimeExceeded:
		return syscall.EHOSTUNREACH, false
	case header.ICMPv6ParamProblem:
		return syscall.EPROTO, true
	}
	return 0, false
}

// receiveICMPv6 handles a message (RFC 4443, RFC 4861).
func (q *queue) receiveICMPv6(p *nic.Packet, ip header.IPv6, d *ipPacket, now time.Duration) {
	h := q.host
	m, err := header.ParseICMPv6(p.Bytes())
	if err != nil || p.Checksum != nic.ChecksumVerified && !m.ChecksumOK(ip.Src(), ip.Dst()) {
		h.drop(p, DropICMP)
		return
	}
	h.count.icmpIn.Add(1)
	q.deliverICMP(d, m)
	ok := true
	switch {
	case m.Type() == header.ICMPv6NeighborSolicitation:
		ok = q.receiveSolicitation(ip, m, now)
	case m.Type() == header.ICMPv6NeighborAdvertisement:
		ok = q.receiveAdvertisement(ip, m, now)
	case m.Type() == header.ICMPv6MulticastQuery, m.Type() == header.ICMPv6MulticastReport:
		ok = q.receiveMLD(m, d, now)
	case m.Type() == header.ICMPv6Echo:
		if d.unicast && !d.src.IsUnspecified() {
			src, dst := d.dst, d.src
			if isLinkLocal(dst) {
				dst = dst.WithZone(q.iface.name)
			}
			h.sendIP(src, dst, header.ProtoICMPv6, len(m), now, func(b []byte) {
				header.PutICMPv6Echo(b, src.As16(), dst.WithZone("").As16(), header.ICMPv6EchoReply, m.ID(), m.Seq(), m.Payload())
			})
		}
	case m.IsError() && d.unicast:
		h.count.icmpErrorsIn.Add(1)
		if quote, ok := m.Quote(); ok && h.isLocal(quote.Src) {
			if m.Type() == header.ICMPv6PacketTooBig {
				h.tooBig(q.iface, &quote, int(min(m.MTU(), 65535)))
			} else if errno, hard := errnoV6(m.Type(), m.Code()); errno != 0 {
				h.softError(q.iface, &quote, errno, hard)
			}
		}
	}
	if !ok {
		h.count.drops[DropICMP].Add(1)
	}
	p.Release()
}

// quotedTuple is the connection that a packet of ours belonged to.
func (i *Interface) quotedTuple(q *header.Quote) tuple {
	k := tuple{local: toAddr(q.Src), remote: toAddr(q.Dst), localPort: q.SrcPort, remotePort: q.DstPort}
	if isLinkLocal(q.Dst) {
		k.scope = uint32(i.index)
	}
	return k
}

// softError passes an ICMP error to the socket whose packet caused it. TCP
// believes it only if it quotes what is in flight (RFC 5927 section 4.1).
func (h *Host) softError(i *Interface, q *header.Quote, errno syscall.Errno, hard bool) {
	k := i.quotedTuple(q)
	switch q.Proto {
	case header.ProtoTCP:
		if f := h.flows.lookup(&k); f != nil && f.conn != nil {
			f.conn.report(icmpReport{seq: tcp.Seq(q.Seq), errno: errno})
		}
	case header.ProtoUDP:
		h.udp.softError(&k, errno, hard)
	}
}

// tooBig lowers the segment size of a connection to what the path carries (RFC
// 1191, RFC 8201).
func (h *Host) tooBig(i *Interface, q *header.Quote, mtu int) {
	if q.Dst.Is6() && mtu < minMTU6 {
		return // RFC 8201 section 4
	}
	k := i.quotedTuple(q)
	if now := h.now(); q.Proto == header.ProtoUDP && h.udp.lookup(&k) != nil && h.large.sent(h, &k, max(mtu, leastMTU(q.Dst)), now) {
		h.pathMTUs.lower(q.Dst, mtu, now)
	}
	if q.Proto != header.ProtoTCP {
		return
	}
	if f := h.flows.lookup(&k); f != nil && f.conn != nil {
		f.conn.report(icmpReport{seq: tcp.Seq(q.Seq), mtu: mtu})
	}
}

// icmpReport is what an ICMP error tells a connection: an error, or the path's
// MTU.
type icmpReport struct {
	seq   tcp.Seq // quoted
	errno syscall.Errno
	mtu   int
}

// report leaves an ICMP error to the holder of the connection's lock. A later
// one takes the place of one that nobody has looked at.
func (c *TCPConn) report(r icmpReport) {
	c.backlogMu.Lock()
	c.icmp = &r
	c.backlogMu.Unlock()
	c.signal(pendingICMP)
}

// takeReport acts on an ICMP error, if it quotes what is in flight: others are
// stale or forged (RFC 5927 section 4.1). The lock is held.
func (c *TCPConn) takeReport(now time.Duration) {
	c.backlogMu.Lock()
	r := c.icmp
	c.icmp = nil
	c.backlogMu.Unlock()
	if r == nil || c.gone || !c.core.Quoted(r.seq) {
		return
	}
	if r.errno != 0 {
		c.events(c.core.SoftError(r.errno), now)
		c.wantOutput = true
		return
	}
	if r.mtu < c.path.mtu() {
		c.host.pathMTUs.lower(c.path.dst, r.mtu, now)
		c.wantOutput = true // looks at the path again
	}
}

// mayAnswer reports whether an ICMP error about a packet may be sent at all
// (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
func (h *Host) mayAnswer(d *ipPacket, now time.Duration) bool {
	if !d.unicast || d.src.IsUnspecified() || d.src.IsMulticast() {
		return false
	}
	if !h.limiter.allowError(now) {
		h.count.drops[DropRateLimit].Add(1)
		return false
	}
	h.count.icmpErrorsOut.Add(1)
	return true
}

// unreachable answers a packet with destination unreachable, of the code given
// for ICMP or its like in ICMPv6.
func (h *Host) unreachable(q *queue, d *ipPacket, code uint8, now time.Duration) {
	if !h.mayAnswer(d, now) {
		return
	}
	if d.dst.Is4() {
		h.sendErrorV4(d.dst, d.src, header.ICMPv4Unreachable, code, 0, d.raw, now)
		return
	}
	h.sendErrorV6(q.iface, d.dst, d.src, header.ICMPv6Unreachable, header.ICMPv6PortUnreachable, 0, d.raw, now)
}

func (h *Host) sendErrorV4(src, dst netip.Addr, typ, code uint8, rest uint32, packet []byte, now time.Duration) {
	quote := header.QuoteIPv4(packet)
	if p, err := h.findPath(dst, src, 0); err == nil { // a link may carry less than a whole quote
		quote = quote[:min(len(quote), p.mtu()-header.IPv4MinLen-header.ICMPv4Len)]
	}
	h.sendIP(src, dst, header.ProtoICMP, header.ICMPv4Len+len(quote), now, func(b []byte) {
		header.PutICMPv4(b, typ, code, rest, quote)
	})
}

func (h *Host) sendErrorV6(i *Interface, src, dst netip.Addr, typ, code uint8, rest uint32, packet []byte, now time.Duration) {
	quote := header.QuoteIPv6(packet)
	s, d := src.As16(), dst.As16()
	if isLinkLocal(dst) {
		dst = dst.WithZone(i.name)
	}
	h.sendIP(src, dst, header.ProtoICMPv6, header.ICMPv6Len+len(quote), now, func(b []byte) {
		header.PutICMPv6(b, s, d, typ, code, rest, quote)
	})
}

// parameterProblem answers a packet whose headers were in error.
func (q *queue) parameterProblem(p *nic.Packet, ip header.IPv6, length int, pp header.ParamProblem, now time.Duration) {
	d := ipPacket{src: ip.SrcAddr(), dst: ip.DstAddr()}
	if !pp.Respond || !q.accepts(&d) || !q.host.mayAnswer(&d, now) {
		return
	}
	raw := p.Bytes()[:header.IPv6Len+length]
	q.host.sendErrorV6(q.iface, d.dst, d.src, header.ICMPv6ParamProblem, pp.Code, pp.Pointer, raw, now)
}

// reassemblyTimeout tells the sender that a datagram did not arrive whole (RFC
// 792, RFC 4443 section 3.3).
func (h *Host) reassemblyTimeout(e reassembly.Expired) {
	now := h.now()
	d := ipPacket{src: e.Key.Src, dst: e.Key.Dst, unicast: h.isLocal(e.Key.Dst)}
	if !h.mayAnswer(&d, now) {
		return
	}
	packet := append(append([]byte(nil), e.Header...), e.Payload...)
	if d.dst.Is4() {
		h.sendErrorV4(d.dst, d.src, header.ICMPv4TimeExceeded, header.ICMPv4ReassemblyExceeded, 0, packet, now)
		return
	}
	i := h.scopeInterface(netip.Addr{}, d.dst)
	if i != nil {
		h.sendErrorV6(i, d.dst, d.src, header.ICMPv6TimeExceeded, header.ICMPv6ReassemblyExceeded, 0, packet, now)
	}
}
