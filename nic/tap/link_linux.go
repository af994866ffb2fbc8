package tap

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Link implements nic.Device.
func (d *device) Link() nic.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.link
}

// Notify implements nic.Device.
func (d *device) Notify(changed func(nic.Link)) {
	d.notifying.Lock()
	defer d.notifying.Unlock()
	d.changed = changed
	d.mu.Lock()
	d.reported = d.link
	d.mu.Unlock()
}

// setLink changes the link's state, unless the device is dead.
func (d *device) setLink(change func(*nic.Link)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link.Err != nil {
		return
	}
	change(&d.link)
	select {
	case d.changes <- struct{}{}:
	default:
	}
}

// die says that the device is gone for good.
func (d *device) die(err error) {
	d.dead.Store(true)
	d.setLink(func(l *nic.Link) {
		l.Up = false
		l.Err = fmt.Errorf("tap: %s is gone: it was deleted, or its network namespace was: %w", d.info.Name, err)
	})
}

// report tells of changes, from a goroutine of its own: who notices them may
// hold locks of the stack's.
func (d *device) report() {
	for {
		select {
		case <-d.done:
			return
		case <-d.changes:
		}
		d.notifying.Lock()
		d.mu.Lock()
		now, was := d.link, d.reported
		d.reported = now
		d.mu.Unlock()
		if d.changed != nil && now != was {
			d.changed(now)
		}
		d.notifying.Unlock()
	}
}

// watch follows the kernel's announcements of the link.
func (d *device) watch() {
	buf := make([]byte, 64<<10)
	var size int
	var failed error
	receive := func(fd uintptr) bool {
		size, _, failed = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(failed, unix.EAGAIN)
	}
	for {
		if err := d.monitorRaw.Read(receive); err != nil {
			return // closed
		}
		switch {
		case errors.Is(failed, unix.EINTR):
			continue
		case errors.Is(failed, unix.ENOBUFS):
			// Announcements were lost: ask. The answer looks like one.
			_ = d.monitorRaw.Control(d.ask)
			continue
		case failed != nil:
			return
		}
		eachMessage(buf[:size], func(kind uint16, _ uint32, body []byte) { d.announced(kind, body) })
	}
}

// ask makes the kernel tell the link's state on the announcements' socket.
func (d *device) ask(fd uintptr) {
	question := message(unix.RTM_GETLINK, 0, 1, infoMessage(d.index, 0, 0))
	_ = unix.Sendto(int(fd), question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// announced handles one announcement.
func (d *device) announced(kind uint16, body []byte) {
	if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK {
		return
	}
	// Bridges announce their ports under their own family.
	if len(body) == 0 || body[0] != unix.AF_UNSPEC {
		return
	}
	l, ok := parseLink(body)
	if !ok || l.index != d.index || d.index == 0 {
		return
	}
	if kind == unix.RTM_NEWLINK {
		d.setLink(func(s *nic.Link) { *s = l.state() })
		return
	}
	// Deleted, or moved to another namespace: the descriptor knows.
	_ = d.queues[0].raw.Control(func(fd uintptr) {
		request, err := unix.NewIfreq("")
		if err == nil {
			err = unix.IoctlIfreq(int(fd), unix.TUNGETIFF, request)
		}
		if err != nil {
			d.die(err)
		}
	})
}
