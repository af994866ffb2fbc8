package nic

// Wrap returns a packet over buf, memory that is not the pool's but that
// somebody else lends for one frame at a time: a descriptor's buffers of a
// vhost-user or memif peer. The pool is one with PoolConfig.Returned, which is
// called once, with the packet, when nobody has it any more: then buf goes back
// to the peer. By Index a driver knows which descriptor it was; Buffer is still
// buf. Returned is called from the goroutine of the last release, which may
// hold locks of any kind: it notes the descriptor, and returns.
//
// The packet is empty, all of buf its tailroom: SetRange says where a frame
// lies. Wrap returns nil when Max packets are out.
//
// A peer that is not trusted can change what lies in shared memory at any
// moment, after it was checked too. A driver copies what a parser looks at more
// than once, the headers, and lends only what is behind them, as a second part.
func (l *Pool) Wrap(buf []byte) *Packet {
	p := l.Get()
	if p == nil {
		return nil
	}
	p.buf, p.wrapped = buf, true
	return p
}

// unwrap ends the loan of a packet's buffer.
func (p *Packet) unwrap() {
	p.wrapped = false
	p.pool.cfg.Returned(p)
	p.buf = nil
}
