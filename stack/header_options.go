package stack

import "time"

// HeaderOptions are what the IP headers of a socket's packets say. The zero value
// of a field takes the default of UDPOptions and TCPOptions.
type HeaderOptions struct {
	TOS, TrafficClass uint8 // over IPv4 and IPv6
	TTL, HopLimit     uint8 // over IPv4 and IPv6

	// To a group; without a meaning for TCP.
	MulticastTTL    uint8
	NoMulticastLoop bool
}

// SetHeaderOptions changes what the datagrams sent from now on say.
func (u *UDPConn) SetHeaderOptions(o HeaderOptions) error {
	u.mu.Lock()
	ended := u.ended
	u.mu.Unlock()
	if ended {
		return ErrClosed
	}
	u.sendMu.Lock()
	defer u.sendMu.Unlock()
	u.opts.TOS, u.opts.TrafficClass = o.TOS, o.TrafficClass
	u.opts.TTL, u.opts.HopLimit = o.TTL, o.HopLimit
	u.opts.MulticastTTL, u.opts.NoMulticastLoop = o.MulticastTTL, o.NoMulticastLoop
	return nil
}

// SetHeaderOptions changes what the messages sent from now on say.
func (c *ICMPConn) SetHeaderOptions(o HeaderOptions) error { return c.sock.SetHeaderOptions(o) }

// SetHeaderOptions changes what the segments sent from now on say. The bits of
// ECN (RFC 3168) are not the caller's.
func (c *TCPConn) SetHeaderOptions(o HeaderOptions) error {
	return c.set(func(time.Duration) {
		if c.tos, c.ttl = o.TOS&^ecnMask, o.TTL; c.path.dst.Is6() {
			c.tos, c.ttl = o.TrafficClass&^ecnMask, o.HopLimit
		}
		setDefault(&c.ttl, defaultTTL)
		c.setPath()
	})
}
