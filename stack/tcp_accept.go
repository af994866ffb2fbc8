package stack

import (
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// receiveSYN answers a SYN, in the place of the TIME-WAIT record old if that is
// not nil. What it keeps is a record on the SYN queue, or nothing at all.
func (l *TCPListener) receiveSYN(q *queue, k *tuple, seg *tcp.Segment, old *flow, now time.Duration) {
	h := l.host
	h.count.synsIn.Add(1)
	if l.draining.Load() {
		h.count.drops[DropClosed].Add(1)
		q.leaveSYN(k, old)
		return
	}
	if why, ok := l.takes(); !ok {
		h.count.drops[why].Add(1)
		return
	}
	local, remote := k.addrPorts()
	pa, err := h.pathBack(q, k)
	if err != nil {
		h.count.drops[DropNoRoute].Add(1)
		return
	}
	init := pa.tcpInit(tcp.ISS(&h.secret, local, remote, now), pa.tsOffset(&h.secret))
	if old != nil {
		init.ISS = old.timeWait.core.NextISS(init.ISS)
	}
	pa.resolve(now)
	var req tcp.Request
	req.Open(l.config, &init, seg, now)
	h.limitOffer(&req)
	// One that replaces a TIME-WAIT record is kept in any case: it takes no more
	// than that did, and a cookie could not begin after what the old one sent.
	kept, closed := h.synq.add(q, k, l, &pa, &req, old != nil, now)
	switch {
	case closed:
		h.count.drops[DropListenOverflow].Add(1)
		return
	case !kept:
		if !h.synq.bake(l, &req, local, remote, now) {
			h.count.drops[DropListenOverflow].Add(1)
			return
		}
		h.count.cookiesSent.Add(1)
	case old != nil:
		key := *k // k stays on its stack
		h.flows.remove(&key, nil, old.timeWait)
		h.twList.replaced(old.timeWait)
	}
	var answer tcp.Segment
	req.SYNACK(&answer, now)
	l.replyOn(&pa, k, &answer, now)
}

// takes reports whether a connection can be begun or completed, or else why not.
func (l *TCPListener) takes() (Drop, bool) {
	l.mu.Lock()
	full := l.ended || len(l.queue) >= l.opts.Backlog
	l.mu.Unlock()
	switch {
	case full:
		return DropListenOverflow, false
	case l.host.sockets.Load() >= int64(l.host.cfg.MaxConnections):
		return DropFlow, false
	}
	return 0, true
}

func (l *TCPListener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// pathBack is the path to the peer of a segment that came on q.
func (h *Host) pathBack(q *queue, k *tuple) (path, error) {
	remote := fromAddr(k.remote)
	if k.scope != 0 {
		remote = remote.WithZone(q.iface.name)
	}
	return h.findPath(remote, fromAddr(k.local), uint64(q.index))
}

// establish makes the connection whose handshake p completes, on the path pa. p is
// its first segment, and the connection is q's current run from then on. r is its
// record on the SYN queue, nil if a cookie took its place.
func (l *TCPListener) establish(q *queue, p *nic.Packet, k *tuple, pa *path, req *tcp.Request, r *halfOpen, now time.Duration) {
	h := l.host
	h.establishing.Add(1) // until it is on the accept queue: see OpenConnections
	defer h.establishing.Add(-1)
	local, remote := fromAddr(k.local), fromAddr(k.remote)
	if k.scope != 0 {
		local, remote = local.WithZone(q.iface.name), remote.WithZone(q.iface.name)
	}
	c := h.newConn(netip.AddrPortFrom(local, k.localPort), netip.AddrPortFrom(remote, k.remotePort), *pa, &l.opts.TCP)
	c.listener = l
	c.lock()
	c.mtu = int32(pa.mtu())
	c.core.AcceptRequest(c.config, pa.tcpInit(0, 0), req, now)
	made := h.flows.insert(c.flow(), nil)
	if r != nil {
		h.synq.completed(r)
	}
	if !made {
		c.core.Release() // another queue was faster
		c.gone = true
		c.unlock()
		p.Release()
		return
	}
	h.connNew(c)
	q.cur = c
	c.input(p, now)
	if (c.unaccepted || !c.established) && !c.gone { // nobody has it, nor ever will
		c.abortLocked(ErrClosed, now)
	}
}

// push puts a connection whose handshake is complete on the accept queue. The
// connection's lock is held.
func (l *TCPListener) push(c *TCPConn) {
	l.host.count.passiveOpens.Add(1)
	l.mu.Lock()
	if c.unaccepted = l.ended; !c.unaccepted {
		if cap(l.queue) == 0 {
			l.queue = make([]*TCPConn, 0, 16) // not one for each that comes
		}
		l.queue = append(l.queue, c)
		l.waits.wakeOne()
	}
	l.mu.Unlock()
}

// reply sends a segment of a connection that l does not have yet, with what its
// options say about the IP header.
func (l *TCPListener) reply(q *queue, k *tuple, seg *tcp.Segment, now time.Duration) {
	pa, err := l.host.pathBack(q, k)
	if err != nil {
		l.host.count.drops[DropNoRoute].Add(1)
		return
	}
	l.replyOn(&pa, k, seg, now)
}

// replyOn is reply on a path that is known.
func (l *TCPListener) replyOn(pa *path, k *tuple, seg *tcp.Segment, now time.Duration) {
	o := &l.opts.TCP
	tos, ttl := o.TOS&^ecnMask, o.TTL
	if !k.remote.is4() {
		tos, ttl = o.TrafficClass&^ecnMask, o.HopLimit
	}
	setDefault(&ttl, defaultTTL)
	l.host.sendSegmentOn(pa, k, seg, ttl, tos, now)
}

// tsOffset is what the timestamps of the path's connections begin at.
func (p *path) tsOffset(secret *[16]byte) uint32 {
	return tcp.TSOffset(secret, netip.AddrPortFrom(p.src, 0), netip.AddrPortFrom(p.dst, 0))
}

// tcpInit is what a connection on the path begins with.
func (p *path) tcpInit(iss tcp.Seq, tsOffset uint32) tcp.Init {
	headers := header.IPv4MinLen
	var assume uint16
	if p.dst.Is6() {
		headers, assume = header.IPv6Len, 1220
	}
	mss := uint16(min(p.mtu()-headers-header.TCPMinLen, 65535))
	return tcp.Init{
		ISS:      iss,
		TSOffset: tsOffset,
		RcvMSS:   mss,
		SndMSS:   mss,
		// Of a peer that states none (RFC 9293 section 3.7.1).
		AssumeMSS: assume,
	}
}
