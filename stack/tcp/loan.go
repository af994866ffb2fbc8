package tcp

// Loan is memory that a writer fills without the connection's lock, and that may
// become part of the send buffer as it is.
type Loan struct {
	pool *ChunkPool
	c    *chunk
}

// SmallLoan is the size of a small loan, bytes.
const SmallLoan = smallChunk

// Borrow lends memory, 32 KiB or, if large is false or memory is short, SmallLoan.
// It is in use until Release. shard is a number that a connection keeps to.
func (p *ChunkPool) Borrow(shard uint8, large bool) Loan {
	size := smallChunk
	if large && !p.full() {
		size = largeChunk
	}
	return Loan{p, p.get(shard, 0, size)}
}

// Bytes is the memory.
func (l *Loan) Bytes() []byte { return l.c.buf }

// Release gives the memory back, unless WriteLoan has taken it.
func (l *Loan) Release() {
	if l.c != nil {
		l.pool.put(l.c)
		l.c = nil
	}
}

// WriteLoan is Write of the first n bytes of l. If all of them fit, and they fill
// half of a large chunk, that itself goes into the send buffer; less is copied, for
// chunks with little in them would be many.
func (c *Conn) WriteLoan(l *Loan, n int) int {
	if n < largeChunk/2 || n > c.Writable() {
		return c.Write(l.c.buf[:n])
	}
	l.c.w = int32(n)
	c.sq.push(l.c)
	l.c = nil
	return n
}
