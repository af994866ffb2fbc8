package tcp

import "time"

// SetUserTimeout changes Config.UserTimeout for this connection alone.
func (c *Conn) SetUserTimeout(d time.Duration) {
	cfg := *c.cfg // others have it too
	cfg.UserTimeout = d
	c.cfg = &cfg
}
