package stack

import (
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

const (
	errNotConnected = syscall.ENOTCONN
	errInvalid      = syscall.EINVAL
)

// ecnMask are the bits of the type of service byte that are ECN's (RFC 3168
// section 5): for TCP they are the stack's to set.
const ecnMask = 3

const (
	minBuffer = 2048     // the smallest send or receive buffer, bytes
	maxRcvBuf = 16 << 20 // the largest receive buffer; sets the window scale
)

// TCPOptions are what a connection has that differs from its host's defaults.
// The zero value of a field takes the default, but for Delay.
type TCPOptions struct {
	Delay       bool // the Nagle algorithm is on; off by default, as in package net
	KeepAlive   KeepAlive
	RcvBuf      int           // receive buffer, bytes, which does not grow then
	SndBuf      int           // send buffer, bytes, which does not grow then
	UserTimeout time.Duration // how long data may stay unacknowledged (RFC 5482)

	// TOS is the type of service byte over IPv4, TrafficClass that over IPv6:
	// the DSCP (RFC 2474), without the two bits of ECN.
	TOS, TrafficClass uint8

	// TTL is the time to live over IPv4, HopLimit the hop limit over IPv6;
	// default 64.
	TTL, HopLimit uint8

	// ReusePort lets a dial use the address and port of listeners that have
	// it too (SO_REUSEPORT).
	ReusePort bool
}

// defaultKeepAlive is package net's.
var defaultKeepAlive = KeepAlive{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}

// tcpConfig is the state machine's configuration for connections with options o.
// Those with the same options share it.
func (h *Host) tcpConfig(o *TCPOptions) *tcp.Config {
	key := *o
	key.TOS, key.TrafficClass, key.TTL, key.HopLimit, key.ReusePort = 0, 0, 0, 0, false // not the state machine's
	h.configMu.Lock()
	defer h.configMu.Unlock()
	c := h.tcpConfigs[key]
	if c == nil {
		c = h.makeTCPConfig(o)
		if len(h.tcpConfigs) < 64 { // a program has a few; others go without
			h.tcpConfigs[key] = c
		}
	}
	return c
}

func (h *Host) makeTCPConfig(o *TCPOptions) *tcp.Config {
	d := &h.cfg.TCP
	c := tcp.DefaultConfig()
	c.Pool = h.chunks
	// A window below the unit of the window scale could not be stated.
	c.RcvBuf, c.RcvBufAuto, c.RcvBufMax = max(d.RcvBuf, minBuffer), d.RcvBufMax, maxRcvBuf
	c.SndBuf, c.SndBufMax = d.SndBuf, d.SndBufMax
	if o.SndBuf > 0 {
		c.SndBuf, c.SndBufMax = max(o.SndBuf, minBuffer), 0
	}
	if o.RcvBuf > 0 {
		c.RcvBuf, c.RcvBufAuto = min(max(o.RcvBuf, minBuffer), maxRcvBuf), 0
	}
	c.NoDelay = !o.Delay
	c.UserTimeout = o.UserTimeout
	c.Timestamps, c.SACK, c.WindowScale = !d.NoTS, !d.NoSACK, !d.NoScaling
	override(&c.MinRTO, d.MinRTO)
	override(&c.DelAck, d.DelayACK)
	override(&c.TimeWait, d.TimeWait)
	c.KeepAlive = o.keepAlive()
	c.Congestion = d.Congestion
	return &c
}

func override(v *time.Duration, with time.Duration) {
	if with != 0 {
		*v = with
	}
}

// keepAlive fills in what o leaves to the default.
func (o *TCPOptions) keepAlive() KeepAlive {
	k := KeepAlive{Enable: o.KeepAlive.Enable}
	replace(&k.Idle, max(o.KeepAlive.Idle, 0), defaultKeepAlive.Idle)
	replace(&k.Interval, max(o.KeepAlive.Interval, 0), defaultKeepAlive.Interval)
	replace(&k.Count, max(o.KeepAlive.Count, 0), defaultKeepAlive.Count)
	return k
}
