package stack

import (
	"slices"
	"syscall"
)

// Close closes the socket; datagrams that wait are dropped. While there are handles
// (see Dup) it only ends the UDPConn's own calls. A second Close returns ErrClosed.
func (u *UDPConn) Close() error {
	_, err := u.close(&u.udpHolder)
	return err
}

// close reports whether by was the last holder.
func (u *UDPConn) close(by *udpHolder) (last bool, err error) {
	u.mu.Lock()
	if by.closed || u.ended {
		u.mu.Unlock()
		return false, ErrClosed
	}
	by.closed = true
	u.others = slices.DeleteFunc(u.others, func(h *UDPHandle) bool { return &h.holder == by })
	last = u.udpHolder.closed && len(u.others) == 0
	u.waits.wakeAll()
	u.mu.Unlock()
	u.host.wheel.Stop(&by.timer)
	if last {
		u.end()
	}
	return last, nil
}

// end closes the socket whoever holds it still.
func (u *UDPConn) end() {
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		return
	}
	u.ended = true
	for _, h := range u.others {
		u.host.wheel.Stop(&h.holder.timer)
	}
	for ; u.n > 0; u.n-- {
		u.ring[u.first].p.Release()
		u.first = (u.first + 1) & (len(u.ring) - 1)
	}
	u.ring = nil
	u.bytes = 0
	joined := u.joined
	u.joined = nil
	u.waits.wakeAll()
	u.mu.Unlock()
	u.host.udp.remove(u)
	for _, m := range joined {
		m.iface.groups.leave(m.group, u.host.now())
	}
	u.host.wheel.Stop(&u.timer)
}

// fail leaves an error from ICMP for the next call.
func (u *UDPConn) fail(errno syscall.Errno) {
	u.mu.Lock()
	u.soft = errno
	u.waits.wakeAll()
	u.mu.Unlock()
}

// kill makes reads return err once what has arrived is read: the device is gone.
func (u *UDPConn) kill(err error) {
	u.mu.Lock()
	u.dead = err
	u.waits.wakeAll()
	u.mu.Unlock()
}
