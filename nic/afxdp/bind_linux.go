package afxdp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
)

// Values of Report.
const (
	native, generic                = "native", "generic"
	zeroCopy, copyMode             = "zero copy", "copy"
	singleBuffer, multiBuffer      = "single buffer", "multi-buffer"
	smallPages, largePages         = "pages of 4 KiB", "pages of 2 MiB"
	off, on                        = "off", "on"
	bySoftware, byKernel, byDevice = "software", "kernel", "device"
)

// try uses the interface as p says. What it leaves behind after an error is
// for drop.
func (d *Device) try(f *face, p plan) error {
	d.parts = 1
	if p.flags&unix.XDP_USE_SG != 0 {
		d.parts = maxParts
		if p.flags&unix.XDP_ZEROCOPY != 0 {
			d.parts = max(1, min(maxParts, int(f.maxSegs)))
		}
	}
	if limit := d.roomMTU(); f.MTU > limit {
		return fmt.Errorf("the MTU of %s, %d, is too large: without multi-buffer (Linux 6.6, and the driver's support) at most %d: %w", f.name, f.MTU, limit, ErrUnavailable)
	}
	// In copy mode the kernel completes the checksums, if the driver does not.
	d.metadata = !d.cfg.NoOffload && (p.flags&unix.XDP_COPY != 0 || f.xsk&xskTxChecksum != 0)
	for i := range d.report.Queues {
		if err := d.bind(f, p, i); err != nil {
			return err
		}
	}
	d.txChecksum = d.metadata
	d.largest = d.umem.tx.Room() * d.parts
	d.segments, d.noSegments = false, nil
	if d.txChecksum && p.flags&unix.XDP_COPY != 0 {
		d.addSuperSenders(int(f.Index))
	}
	for i, q := range d.queues {
		q.out = d.queues[i%min(len(d.queues), max(1, f.tx))]
		if err := d.objects.Sockets.Put(uint32(i), uint32(q.fd)); err != nil {
			return fmt.Errorf("entering the socket of queue %d: %w", i, err)
		}
	}
	d.busyPoll = d.cfg.BusyPoll > 0
	var err error
	d.attached, err = attach(d.objects, int(f.Index), f.name, p.generic)
	return err
}

// addSuperSenders makes the device take super-segments, if it can.
func (d *Device) addSuperSenders(index int) {
	for _, q := range d.queues {
		if q.supers, d.noSegments = newSuperSender(q, index); d.noSegments != nil {
			for _, q := range d.queues {
				_ = q.supers.close()
				q.supers = nil
			}
			return
		}
	}
	d.segments, d.largest = true, max(d.largest, fdbased.MaxFrame)
}

// bind opens the socket of queue i.
func (d *Device) bind(f *face, p plan, i int) error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	q, err := newQueue(d, i, s) // which has the descriptor from now on
	if err != nil {
		return err
	}
	d.queues = append(d.queues, q)
	if i == 0 {
		err = s.register(d.umem, d.metadata)
		if errors.Is(err, unix.EINVAL) && d.metadata { // before Linux 6.8
			d.metadata = false
			err = s.register(d.umem, false)
		}
		if err != nil {
			return err
		}
	}
	if err := s.makeRings(d.cfg.Ring); err != nil {
		return err
	}
	if err := s.tune(&d.cfg); err != nil {
		return fmt.Errorf("busy polling needs Linux 5.11 and CAP_NET_ADMIN: %w: %w", ErrUnavailable, err)
	}
	// Some drivers want to find buffers as soon as they learn of the socket.
	q.recv.target = uint32(max(1, min(d.cfg.Ring, d.umem.rxFrames/(2*d.report.Queues))))
	q.recv.mu.Lock()
	q.refill()
	q.recv.mu.Unlock()
	return s.bind(f, i, p.flags|unix.XDP_USE_NEED_WAKEUP, d.queues[0].socket)
}
