package fdbased

import (
	"errors"
	"os"
	"sync"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// Device is a nic.Device whose queues are descriptors. A driver embeds it and calls
// Open.
type Device struct {
	*link.Follower // the link, and its end
	Buffers
	About nic.Info // Info, but for the MTU

	queues []Endpoint
	all    sync.WaitGroup // the goroutines of the queues
}

// Endpoint is a queue with what its driver adds to Queue.
type Endpoint interface {
	nic.Queue
	nic.BatchAllocator

	Start() error // the goroutines
	Close() error // ends them, and releases the buffers
	Held() int    // buffers that are not with the stack: for InUse
	Freed()       // a buffer has come back to a pool that was empty
}

// Open opens the device. It calls set in a network namespace, as link.InNamespace
// does: set sets the fields, in any order, and returns a descriptor for each queue;
// if it fails it leaves nothing. queue makes queue i of a descriptor, for whose
// errors name is.
func (d *Device) Open(namespace string, set func() (fds []int, err error), name string, queue func(i int, file *os.File) Endpoint) error {
	var fds []int
	err := link.InNamespace(namespace, func() (err error) {
		fds, err = set()
		return err
	})
	if err != nil {
		return err
	}
	for i, fd := range fds {
		d.queues = append(d.queues, queue(i, os.NewFile(uintptr(fd), name)))
	}
	if err := d.start(); err != nil {
		_ = d.Close()
		return err
	}
	return nil
}

// start starts the goroutines of the queues and those that follow the link.
func (d *Device) start() error {
	for _, q := range d.queues {
		if err := q.Start(); err != nil {
			return err
		}
	}
	return d.Start()
}

// Info implements nic.Device.
func (d *Device) Info() nic.Info {
	info := d.About
	info.MTU = d.Link().MTU
	return info
}

// Queues implements nic.Device.
func (d *Device) Queues() []nic.Queue {
	qs := make([]nic.Queue, len(d.queues))
	for i, q := range d.queues {
		qs[i] = q
	}
	return qs
}

// Close implements nic.Device.
func (d *Device) Close() error {
	err := d.Mark()
	if err != nil {
		return err
	}
	for _, q := range d.queues {
		err = errors.Join(err, q.Close())
	}
	err = errors.Join(err, d.Follower.Close())
	d.all.Wait()
	return err
}

// InUse is the number of buffers that somebody else than the device holds: for
// tests that look for leaks.
func (d *Device) InUse() int {
	n := d.inUse()
	for _, q := range d.queues {
		n -= q.Held()
	}
	return n
}

// Freed is for BufferConfig: it wakes the pollers that sleep after their Alloc
// fell short.
func (d *Device) Freed() {
	for _, q := range d.queues {
		q.Freed()
	}
}
