package fastnet

import (
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/stack"
)

// Package net's defaults (net.KeepAliveConfig).
const (
	defaultKeepAliveIdle     = 15 * time.Second
	defaultKeepAliveInterval = 15 * time.Second
	defaultKeepAliveCount    = 9
)

// The most that Linux takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL and
// MAX_TCP_KEEPCNT in its include/net/tcp.h).
const (
	maxKeepAliveTime  = 32767 * time.Second
	maxKeepAliveCount = 127
)

// initialKeepAlive is the setting of a new connection, from a Dialer's or a
// ListenConfig's two fields for it.
func initialKeepAlive(period time.Duration, cfg KeepAliveConfig) stack.KeepAlive {
	if !cfg.Enable && period >= 0 {
		cfg = KeepAliveConfig{Enable: true, Idle: period}
	}
	k := stack.KeepAlive{Idle: defaultKeepAliveIdle, Interval: defaultKeepAliveInterval, Count: defaultKeepAliveCount}
	if cfg.Enable {
		k = changeKeepAlive(k, cfg)
	}
	return k
}

// changeKeepAlive applies cfg to k: zero means the default, negative leaves a
// field alone, times are whole seconds, as they are in the kernel.
func changeKeepAlive(k stack.KeepAlive, cfg KeepAliveConfig) stack.KeepAlive {
	k.Enable = cfg.Enable
	k.Idle = changeTime(k.Idle, cfg.Idle, defaultKeepAliveIdle)
	k.Interval = changeTime(k.Interval, cfg.Interval, defaultKeepAliveInterval)
	switch {
	case cfg.Count == 0:
		k.Count = defaultKeepAliveCount
	case cfg.Count > 0:
		k.Count = cfg.Count
	}
	return k
}

func changeTime(old, new, def time.Duration) time.Duration {
	switch {
	case new < 0:
		return old
	case new == 0:
		return def
	}
	return (new + time.Second - 1) / time.Second * time.Second
}

// SetKeepAlive switches keep-alive probes on or off.
func (c *TCPConn) SetKeepAlive(keepalive bool) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetKeepAlive(keepalive)
	}
	return c.setKeepAlive(func(k stack.KeepAlive) stack.KeepAlive {
		k.Enable = keepalive
		return k
	})
}

// SetKeepAlivePeriod sets how long the connection is idle before the first
// probe; 0 is the default of 15 s, and a negative d changes nothing.
func (c *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetKeepAlivePeriod(d)
	}
	if d > maxKeepAliveTime {
		return c.opError("set", "setsockopt", syscall.EINVAL)
	}
	return c.setKeepAlive(func(k stack.KeepAlive) stack.KeepAlive {
		k.Idle = changeTime(k.Idle, d, defaultKeepAliveIdle)
		return k
	})
}

// SetKeepAliveConfig sets all of the keep-alive options.
func (c *TCPConn) SetKeepAliveConfig(config KeepAliveConfig) error {
	if !c.ok() {
		return syscall.EINVAL
	}
	if c.stack == nil {
		return c.kernel.SetKeepAliveConfig(config)
	}
	if config.Idle > maxKeepAliveTime || config.Interval > maxKeepAliveTime || config.Count > maxKeepAliveCount {
		return c.opError("set", "setsockopt", syscall.EINVAL)
	}
	return c.setKeepAlive(func(k stack.KeepAlive) stack.KeepAlive {
		return changeKeepAlive(k, config)
	})
}

func (c *TCPConn) setKeepAlive(change func(stack.KeepAlive) stack.KeepAlive) error {
	c.keepAliveMu.Lock()
	defer c.keepAliveMu.Unlock()
	k := change(c.keepAlive)
	if err := c.isOpen(func() error { return c.stack.SetKeepAliveConfig(k) }); err != nil {
		return c.opError("set", "setsockopt", err)
	}
	c.keepAlive = k
	return nil
}
