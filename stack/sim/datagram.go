package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// quietAfter is how long a flow waits for late datagrams after its last one:
// longer than a link holds frames, reassembly included.
const quietAfter = 40 * time.Second

// Each datagram of a flow begins with the flow's number, its own, and the
// length of the whole; a pattern follows.
const datagramHeader = 12

// flow is an application that sends datagrams, and the one that they are for.
type flow struct {
	w        *world
	index    int
	plan     *FlowPlan
	from, to *node
	out      *stack.UDPConn // the sender's
	in       *stack.UDPConn // the receiver's; nil with Refused
	dst      netip.AddrPort

	number  int // datagrams that the sender made
	sizes   []int
	at      time.Duration // of the next one, then of the end
	arrived []int         // how often each came
	refused int           // ECONNREFUSED reports
	over    bool
}

func (w *world) addFlow(i int) error {
	p := &w.plan.Flows[i]
	f := &flow{w: w, index: i, plan: p, from: w.nodes[p.From], to: w.nodes[1-p.From], at: w.clock}
	port := uint16(5000 + i)
	f.dst = netip.AddrPortFrom(f.from.peer(), port)
	var err error
	if !p.Refused {
		f.in, err = f.to.host.ListenUDP(netip.AddrPortFrom(netip.Addr{}, port), stack.UDPOptions{RcvBuf: p.RcvBuf})
		if err != nil {
			return err
		}
	}
	if p.Connected {
		f.out, err = f.from.host.DialUDP(netip.AddrPort{}, f.dst, stack.UDPOptions{})
	} else {
		f.out, err = f.from.host.ListenUDP(netip.AddrPort{}, stack.UDPOptions{})
	}
	if err != nil {
		return err
	}
	w.agents = append(w.agents, f)
	return nil
}

func (f *flow) String() string {
	return fmt.Sprintf("flow %d: sent %d of %d, next at %v", f.index, f.number, f.plan.Count, f.at)
}

func (f *flow) done() bool { return f.over }

func (f *flow) wake() time.Duration {
	if f.at > f.w.clock {
		return f.at
	}
	return stack.Never
}

func (f *flow) step() (bool, error) {
	moved, err := f.receive()
	if err != nil {
		return true, err
	}
	back, err := f.receiveEchoes()
	if err != nil {
		return true, err
	}
	if f.w.clock < f.at {
		return moved || back, nil
	}
	if f.number < f.plan.Count && !f.from.closed {
		return true, f.send()
	}
	return true, f.close()
}

// send sends the next datagram.
func (f *flow) send() error {
	n := datagramHeader + f.w.rng.IntN(max(1, f.plan.Size-datagramHeader+1))
	b := f.w.buf[:n]
	binary.BigEndian.PutUint32(b, uint32(f.index))
	binary.BigEndian.PutUint32(b[4:], uint32(f.number))
	binary.BigEndian.PutUint32(b[8:], uint32(n))
	copy(b[datagramHeader:], f.content(f.number).slice(0, n))
	f.number++
	f.sizes = append(f.sizes, n)
	f.arrived = append(f.arrived, 0)
	f.at = f.w.clock + f.w.pause(f.plan.Pause)
	if f.number == f.plan.Count {
		f.at = f.w.clock + quietAfter
	}
	var err error
	if f.plan.Connected {
		_, err = f.out.Write(b)
	} else {
		_, err = f.out.WriteTo(b, f.dst)
	}
	if err != nil {
		f.sizes[f.number-1] = -1
	}
	return f.tolerate(err)
}

func (f *flow) content(number int) pattern { return newPattern(uint64(f.index)<<32 | uint64(number)) }

// tolerate returns err unless it is one that the network can cause.
func (f *flow) tolerate(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNREFUSED) && (f.plan.Refused || f.to.closed || f.w.plan.disrupted()):
		f.refused++
	case errors.Is(err, syscall.EHOSTUNREACH) && f.w.plan.lossy():
	case errors.Is(err, syscall.ENOBUFS) && f.w.plan.Wire.Pool > 0:
	case errors.Is(err, syscall.EPROTO) && f.w.plan.corrupts(): // an IPv6 header was damaged
	case err == stack.ErrClosed && f.w.plan.disrupted():
	default:
		return fmt.Errorf("%v: unexpected error: %w", f, err)
	}
	return nil
}

// receive takes what has come to the receiver, and sends it back with Echo.
func (f *flow) receive() (bool, error) {
	if f.in == nil || f.to.closed {
		return false, nil
	}
	n, full, from, err := f.in.TryReadFrom(f.w.buf)
	if err == stack.ErrWouldBlock {
		return false, nil
	}
	if err != nil {
		return true, f.tolerate(err)
	}
	number, err := f.check(n, full)
	if err != nil || number < 0 {
		return true, err
	}
	f.arrived[number]++
	f.w.history.add(uint64(number))
	if f.plan.Echo {
		_, err := f.in.WriteTo(f.w.buf[:n], from)
		return true, f.tolerate(err)
	}
	return true, nil
}

func (f *flow) receiveEchoes() (bool, error) {
	if f.from.closed {
		return false, nil
	}
	n, full, _, err := f.out.TryReadFrom(f.w.buf)
	if err == stack.ErrWouldBlock {
		return false, nil
	}
	if err != nil {
		return true, f.tolerate(err)
	}
	number, err := f.check(n, full)
	if err != nil || number < 0 {
		return true, err
	}
	if !f.plan.Echo {
		return true, fmt.Errorf("%v: datagram %d came back", f, number)
	}
	return true, nil
}

// check looks at a datagram of n bytes and returns its number.
func (f *flow) check(n, full int) (int, error) {
	b := f.w.buf[:n]
	if n != full || n < datagramHeader {
		return f.damaged("%d of %d bytes", n, full)
	}
	index, number, size := binary.BigEndian.Uint32(b), int(binary.BigEndian.Uint32(b[4:])), int(binary.BigEndian.Uint32(b[8:]))
	if int(index) != f.index || number >= f.number || size != n {
		return f.damaged("header of flow %d, number %d, size %d of %d", index, number, size, n)
	}
	if at, ok := f.content(number).match(0, b[datagramHeader:]); !ok {
		return f.damaged("datagram %d differs at byte %d", number, at)
	}
	return number, nil
}

// damaged is an error, unless the datagram may have been put together of
// fragments of which two were damaged: changes in two frames can make up for
// each other in the Internet checksum.
func (f *flow) damaged(format string, args ...any) (int, error) {
	if f.w.plan.corrupts() && f.fragments() {
		return -1, nil
	}
	return -1, fmt.Errorf("%v: "+format, append([]any{f}, args...)...)
}

// fragments reports whether datagrams of the flow may need fragmentation.
func (f *flow) fragments() bool { return f.plan.Size+48 > f.w.plan.mtu() }

// close closes the sockets and judges what arrived.
func (f *flow) close() error {
	f.over = true
	if !f.from.closed {
		if err := f.out.Close(); err != nil {
			return fmt.Errorf("%v: close: %w", f, err)
		}
	}
	if f.in != nil && !f.to.closed {
		if err := f.in.Close(); err != nil {
			return fmt.Errorf("%v: close: %w", f, err)
		}
	}
	s := f.w.plan
	lost := 0
	for i, n := range f.arrived {
		if n == 0 && f.sizes[i] >= 0 {
			lost++
		}
		if n > 1 && s.Lanes[f.plan.From].Duplicate == 0 {
			return fmt.Errorf("%v: datagram %d came %d times", f, i, n)
		}
	}
	if !s.perfect() {
		return nil
	}
	// Only buffers may have been too small.
	drops := dropsOf(f.from.host, f.to.host)
	if f.plan.Refused {
		if f.refused == 0 && drops["neighbor-pending"] == 0 {
			return fmt.Errorf("%v: no ECONNREFUSED", f)
		}
		return nil
	}
	if max := drops["receive-buffer"] + drops["neighbor-pending"]; uint64(lost) > max {
		return fmt.Errorf("%v: %d datagrams lost on a perfect network, %v", f, lost, drops)
	}
	return nil
}
