package stack

import (
	"errors"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// ErrWouldBlock is what the Try methods return instead of waiting.
var ErrWouldBlock = errors.New("operation would block")

// TCPConn is a TCP socket that is connected, or about to be. Its methods may be
// called from any goroutine; concurrent Writes do not mix their bytes.
type TCPConn struct {
	host     *Host
	key      tuple
	entry    flow                  // of the flow table
	listener *TCPListener          // who accepts it; nil of a dialled one
	home     atomic.Pointer[queue] // where its packets come from: see home.go

	mu      sync.Mutex // the connection's lock: see conn_lock.go
	pending atomic.Uint32

	reported  atomic.Bool // a call has returned the error that ended it
	reusePort bool        // TCPOptions.ReusePort

	// Under the lock.
	core        tcp.Conn
	path        path
	hdr         [header.EthernetLen + header.IPv6Len]byte // what each frame begins with
	hdrLen      uint8
	tos, ttl    uint8  // or traffic class, hop limit
	pseudo      uint16 // sum of the pseudo-header without its length
	ipSum       uint16 // sum of hdr's IPv4 header
	mtu         int32  // the path's, as far as the state machine knows
	batch       [2]*nic.Packet
	timer       timer.Timer
	probe       timer.Timer  // of the tail loss probe
	wantOutput  bool         // Next may have something
	woke        bool         // a goroutine was woken since the queue last looked
	stalled     bool         // on the queue's list of stalled connections
	ackQueued   bool         // on the queue's list of delayed ACKs
	ackRides    int8         // whether they are worth the wait: see acks.go
	established bool         // the handshake was completed once
	dialEnded   bool         // the context of its dial ended before that
	gone        bool         // out of the flow table
	unaccepted  bool         // the listener was closed as the handshake was completed
	released    bool         // closed by the application, by all handles
	others      []*TCPHandle // those that are not closed
	sendErr     error
	lingerUntil time.Duration
	linger      int32 // seconds; -1: not set
	config      *tcp.Config

	backlogMu                sync.Mutex
	backlogHead, backlogTail *nic.Packet
	backlogLen               int32
	icmp                     *icmpReport // under backlogMu

	rq receiveQueue
	wq writeQueue
}

// newConn makes a connection with the tuple that local and remote make, on p.
func (h *Host) newConn(local, remote netip.AddrPort, p path, o *TCPOptions) *TCPConn {
	c := &TCPConn{host: h, path: p, linger: -1, reusePort: o.ReusePort}
	c.home.Store(p.q)
	c.key = h.tupleOf(local, remote, p.iface)
	c.config = h.tcpConfig(o)
	c.rq.init(c.config.RcvBuf)
	c.rq.fixed = c.config.RcvBufAuto == 0
	c.wq.init(c)
	if c.tos, c.ttl = o.TOS&^ecnMask, o.TTL; p.dst.Is6() {
		c.tos, c.ttl = o.TrafficClass&^ecnMask, o.HopLimit
	}
	setDefault(&c.ttl, defaultTTL)
	c.timer.Init(c, timerTCP)
	c.probe.Init(c, timerProbe)
	c.rq.timer.Init(c, timerRead)
	c.wq.timer.Init(c, timerWrite)
	c.setPath()
	return c
}

func (h *Host) tupleOf(local, remote netip.AddrPort, i *Interface) tuple {
	k := tuple{
		local: toAddr(local.Addr()), remote: toAddr(remote.Addr()),
		localPort: local.Port(), remotePort: remote.Port(),
	}
	if isLinkLocal(remote.Addr()) {
		k.scope = uint32(i.index)
	}
	return k
}

// setPath prepares what each segment begins with.
func (c *TCPConn) setPath() {
	c.hdrLen = uint8(c.path.header(c.hdr[:], header.ProtoTCP, c.ttl, c.tos))
	c.pseudo = c.path.pseudoSum(header.ProtoTCP)
	if !c.path.dst.Is6() {
		ip := header.IPv4(c.hdr[header.EthernetLen:c.hdrLen])
		ip.SetTotalLen(0)
		ip.SetChecksum(0)
		c.ipSum = header.Checksum(ip, 0)
	}
}

// init is what the state machine of a connection begins with.
func (c *TCPConn) init(now time.Duration) tcp.Init {
	c.mtu = int32(c.path.mtu())
	return c.path.tcpInit(tcp.ISS(&c.host.secret, c.LocalAddr(), c.RemoteAddr(), now), c.path.tsOffset(&c.host.secret))
}

// LocalAddr is the connection's own address.
func (c *TCPConn) LocalAddr() netip.AddrPort { return c.addrPort(c.key.local, c.key.localPort) }

// RemoteAddr is the peer's address.
func (c *TCPConn) RemoteAddr() netip.AddrPort { return c.addrPort(c.key.remote, c.key.remotePort) }

func (c *TCPConn) addrPort(a addr, port uint16) netip.AddrPort {
	ip := fromAddr(a)
	if c.key.scope != 0 {
		ip = ip.WithZone(c.home.Load().iface.name)
	}
	return netip.AddrPortFrom(ip, port)
}

// pollOnce lets a goroutine that waits for the connection do the poller's work,
// or lets others run.
func (c *TCPConn) pollOnce() {
	if c.home.Load().poll() == 0 {
		runtime.Gosched()
	}
}

func (c *TCPConn) usesInterface(i *Interface) bool {
	c.lock()
	defer c.unlock()
	return c.path.iface == i
}

// events acts on what the state machine reports. The lock is held.
func (c *TCPConn) events(ev tcp.Events, now time.Duration) {
	if ev == 0 {
		return
	}
	if ev.Has(tcp.AckNow | tcp.SendReady) {
		c.wantOutput = true
	}
	if ev.Has(tcp.AckLater) {
		c.path.q.delayAck(c)
	}
	const rare = tcp.Established | tcp.EOF | tcp.Writable | tcp.TimeWaiting | tcp.Reset | tcp.Failed | tcp.Closed
	if !ev.Has(rare) {
		return
	}
	if ev.Has(tcp.Established) {
		c.established = true
		c.host.count.established.Add(1)
		if c.listener != nil {
			c.listener.push(c)
		}
		c.wq.wake()
	}
	if ev.Has(tcp.Writable) {
		c.wq.wake()
	}
	if ev.Has(tcp.EOF) && !defect.On(defect.HalfCloseLost) {
		c.rq.finish(errEOF)
	}
	if errno := c.core.Err(); ev.Has(tcp.Reset|tcp.Failed) && errno != 0 { // 0: both sides had finished
		c.fail(errno)
	}
	if ev.Has(tcp.TimeWaiting | tcp.Closed) {
		c.wantOutput = true // finish looks at the state once Next is done
	}
}

// fail makes all calls return err, reads after what has arrived. The lock is
// held.
func (c *TCPConn) fail(err error) {
	if c.sendErr == nil {
		c.sendErr = err
		if c.established {
			c.host.count.resets.Add(1)
		}
	}
	if defect.On(defect.ResetIsEOF) {
		err = errEOF
	}
	c.rq.finish(err)
	if defect.On(defect.ResetDropsData) {
		c.rq.mu.Lock()
		c.rq.discard()
		c.rq.mu.Unlock()
	}
	c.wq.wake()
}

// afterInput sends what there is to send after a run of segments, and arms the
// timer. The lock is held.
func (c *TCPConn) afterInput(now time.Duration) {
	if c.wantOutput {
		c.output(now)
		return
	}
	c.arm()
}

// finish takes a connection that is over out of the host. The lock is held.
func (c *TCPConn) finish(now time.Duration) {
	switch c.core.State() {
	case tcp.StateTimeWait:
		if !c.gone {
			c.leave(c.host.twList.add(c, now))
		}
	case tcp.StateClosed:
		if !c.gone {
			c.leave(nil)
		}
	}
}

// leave removes the connection from the flow table, where tw takes its place if
// there is one. What was received stays readable.
func (c *TCPConn) leave(tw *timeWait) {
	h := c.host
	c.gone = true
	if tw == nil {
		h.flows.remove(&c.key, c, nil)
	}
	h.connGone(c)
	if !c.released && (c.established || c.listener == nil) { // else nobody has it
		h.ended.add(c)
	}
	info := c.core.Info()
	h.count.retransmits.Add(uint64(info.Retransmits))
	h.count.lossProbes.Add(uint64(info.LossProbes))
	h.count.bytesIn.Add(info.BytesIn)
	h.count.bytesOut.Add(info.BytesOut)
	if c.established {
		h.count.established.Add(-1)
	} else if c.listener == nil {
		h.count.openFails.Add(1)
	}
	if c.sendErr == nil {
		c.sendErr = errBrokenPipe
	}
	if c.core.State() == tcp.StateClosed || tw != nil {
		c.rq.finish(errEOF)
	}
	c.core.Release()
	h.wheel.Stop(&c.timer)
	if c.probe.Queued() {
		h.wheel.Stop(&c.probe)
	}
	c.wq.wake()
}

// abort resets the connection; calls that wait return err.
func (c *TCPConn) abort(err error) {
	c.lock()
	defer c.unlock()
	c.abortLocked(err, c.host.now())
}

// abortLocked is abort with the lock held.
func (c *TCPConn) abortLocked(err error, now time.Duration) {
	if err == ErrClosed {
		c.release()
	}
	if c.gone {
		return
	}
	c.fail(err)
	c.core.Abort(now)
	c.output(now)
}

// addTo adds the connection's counters to s.
func (c *TCPConn) addTo(s *TCPStats) {
	i := c.coreInfo()
	s.Retransmits += uint64(i.Retransmits)
	s.LossProbes += uint64(i.LossProbes)
	s.BytesIn += i.BytesIn
	s.BytesOut += i.BytesOut
}

func (c *TCPConn) coreInfo() tcp.Info {
	c.lock()
	defer c.unlock()
	return c.core.Info()
}

// TCPInfo is a snapshot of a connection.
type TCPInfo struct {
	Local, Remote netip.AddrPort
	Interface     string
	Received      int // bytes that wait for Read
	tcp.Info
}

// Info returns a snapshot of the connection.
func (c *TCPConn) Info() TCPInfo {
	c.lock()
	i := TCPInfo{Local: c.LocalAddr(), Remote: c.RemoteAddr(), Interface: c.path.iface.name, Info: c.core.Info()}
	c.unlock()
	c.rq.mu.Lock()
	i.Received = int(c.rq.bytes)
	c.rq.mu.Unlock()
	return i
}

// Connections returns a snapshot of each TCP connection, without those in
// TIME-WAIT.
func (h *Host) Connections() []TCPInfo {
	var is []TCPInfo
	h.flows.all(func(f *flow) {
		if f.conn != nil {
			is = append(is, f.conn.Info())
		}
	})
	return is
}

// endedConns are those that are over, but that the application has not closed:
// what it has not read is still there.
type endedConns struct {
	mu  sync.Mutex
	set map[*TCPConn]struct{}
}

func (e *endedConns) add(c *TCPConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.set == nil {
		e.set = make(map[*TCPConn]struct{})
	}
	e.set[c] = struct{}{}
}

func (e *endedConns) remove(c *TCPConn) {
	e.mu.Lock()
	delete(e.set, c)
	e.mu.Unlock()
}

func (e *endedConns) all() []*TCPConn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.set))
}
