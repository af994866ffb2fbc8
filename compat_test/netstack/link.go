package netstack

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/fastnet-go/fastnet/nic"
)

const (
	burst = 64
	// idleRounds is how often a poller looks again before it parks.
	idleRounds = 10
	// sendRounds is how often a full ring is tried again, yielding in between,
	// before the frame is dropped. It has an end because netstack may send
	// from within a poller, and two such must not wait for each other.
	sendRounds = 1000
)

// link presents a nic.Device as a stack.LinkEndpoint of whole Ethernet frames;
// netstack's own ethernet endpoint, wrapped around it, makes and strips their
// headers. Checksums are always computed and verified by netstack, since the
// point is an independent check, except those of super-segments.
type link struct {
	device  nic.Device
	info    nic.Info
	now     func() time.Duration
	queues  []nic.Queue
	dropped atomic.Uint64 // frames that the device had no room for

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher

	running sync.WaitGroup
	start   sync.Once
	stop    sync.Once
	stopped chan struct{}
}

var (
	_ stack.LinkEndpoint = (*link)(nil)
	_ stack.GSOEndpoint  = (*link)(nil)
)

// newLink takes over dev, whose events are timed by now.
func newLink(dev nic.Device, now func() time.Duration) *link {
	return &link{device: dev, info: dev.Info(), now: now, queues: dev.Queues(), stopped: make(chan struct{})}
}

// MTU is that of whole frames: the ethernet endpoint takes its header off.
func (l *link) MTU() uint32             { return uint32(l.info.MTU) + header.EthernetMinimumSize }
func (l *link) SetMTU(uint32)           {}
func (l *link) MaxHeaderLength() uint16 { return 0 }

func (l *link) LinkAddress() tcpip.LinkAddress               { return tcpip.LinkAddress(l.info.MAC[:]) }
func (l *link) SetLinkAddress(tcpip.LinkAddress)             {}
func (l *link) Capabilities() stack.LinkEndpointCapabilities { return 0 }

func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) SetOnCloseAction(func())                 {}

// SupportedGSO lets netstack hand down super-segments where the device cuts
// them.
func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.info.Offloads.Has(nic.TSO4 | nic.TSO6 | nic.TxChecksum) {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize is the most payload of a super-segment: netstack adds headers.
func (l *link) GSOMaxSize() uint32 {
	const headers = header.EthernetMinimumSize + header.IPv6MinimumSize + header.TCPHeaderMaximumSize
	return uint32(min(l.info.MaxSend, 1<<16-1) - headers)
}

// Attach starts a poller for each queue when there is somebody to deliver to.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	l.dispatcher = d
	l.mu.Unlock()
	if d == nil {
		return
	}
	l.start.Do(func() {
		for _, q := range l.queues {
			wake := make(chan struct{}, 1)
			q.SetWake(func() {
				select {
				case wake <- struct{}{}:
				default:
				}
			})
			l.running.Go(func() { l.poll(q, wake) })
		}
	})
}

func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// Close ends the pollers. The device stays open.
func (l *link) Close() { l.stop.Do(func() { close(l.stopped) }) }

// Wait waits for the pollers to end.
func (l *link) Wait() { l.running.Wait() }

// poll receives from q until the link is closed.
func (l *link) poll(q nic.Queue, wake <-chan struct{}) {
	var pkts [burst]*nic.Packet
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	idle := 0
	for {
		select {
		case <-l.stopped:
			return
		default:
		}
		if n := q.Recv(pkts[:]); n > 0 {
			for i, p := range pkts[:n] {
				l.deliver(p)
				pkts[i] = nil
			}
			idle = 0
			runtime.Gosched()
			continue
		}
		if idle++; idle < idleRounds {
			runtime.Gosched()
			continue
		}
		wait := time.Hour
		if next := q.NextEvent(); next != nic.Never {
			wait = max(0, next-l.now())
		}
		timer.Reset(wait)
		if !q.Arm() {
			continue
		}
		select {
		case <-wake:
		case <-timer.C:
		case <-l.stopped:
			return
		}
		idle = 0
	}
}

// deliver hands a frame to netstack and releases it.
func (l *link) deliver(p *nic.Packet) {
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	if d == nil {
		p.Release()
		return
	}
	v := buffer.NewViewSize(p.FrameLen())
	p.CopyTo(v.AsSlice(), 0)
	if sum, offset, ok := p.CompleteChecksum(); ok {
		binary.BigEndian.PutUint16(v.AsSlice()[offset:], sum)
	}
	p.Release()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	defer pkt.DecRef()
	d.DeliverNetworkPacket(0, pkt) // the ethernet endpoint finds the protocol
}

// WritePackets sends frames through the queue that each one's hash selects.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	var used [8]nic.Queue // that need a kick; there are seldom more
	kick := used[:0]
	for _, pkt := range list.AsSlice() {
		q := l.queues[int(pkt.Hash)%len(l.queues)]
		if p := l.build(q, pkt); p == nil || !l.send(q, p) {
			l.dropped.Add(1)
			continue
		}
		if len(kick) == 0 || kick[len(kick)-1] != q {
			kick = append(kick, q)
		}
	}
	for _, q := range kick {
		q.Kick()
	}
	return list.Len(), nil // a full ring loses frames, as a real one does
}

// build copies a frame into one of the queue's buffers, nil if none gets free.
func (l *link) build(q nic.Queue, pkt *stack.PacketBuffer) *nic.Packet {
	var p *nic.Packet
	for range sendRounds {
		if p = q.Alloc(pkt.Size()); p != nil {
			break
		}
		q.Kick()
		runtime.Gosched()
	}
	if p == nil {
		return nil
	}
	part := p
	for _, b := range pkt.AsSlices() {
		for len(b) > 0 {
			n := min(len(b), part.Tailroom())
			copy(part.Extend(n), b)
			b = b[n:]
			if len(b) > 0 {
				part = part.Next() // Alloc gave room for all
			}
		}
	}
	if g := pkt.GSOOptions; g.Type != stack.GSONone && g.NeedsCsum {
		p.Checksum = nic.ChecksumPartial
		p.ChecksumStart = header.EthernetMinimumSize + g.L3HdrLen
		p.ChecksumOffset = g.CsumOffset
		if pkt.Data().Size() > int(g.MSS) {
			p.SegmentSize = g.MSS
			p.HeaderLen = uint16(pkt.HeaderSize())
			p.Segment = nic.SegmentTCPv4
			if g.Type == stack.GSOTCPv6 {
				p.Segment = nic.SegmentTCPv6
			}
		}
	}
	return p
}

func (l *link) send(q nic.Queue, p *nic.Packet) bool {
	one := [1]*nic.Packet{p}
	for range sendRounds {
		if q.Send(one[:]) == 1 {
			return true
		}
		q.Kick()
		runtime.Gosched()
	}
	p.Release()
	return false
}
