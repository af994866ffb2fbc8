// Package pcap writes what passes through a device to a file in the pcapng
// format, which Wireshark and tcpdump read.
//
// Wrap puts a device in front of another one and records every frame that Recv
// returns and every frame that Send took, with its direction, its queue and the
// time in nanoseconds. A file may hold many interfaces.
//
// A frame with a partial checksum is completed in the file (and only there), so
// that a dissector does not flag it; a super-segment is written whole, with a
// comment that names the segment size.
//
// A disk that cannot keep up costs frames of the capture, never the packet path
// its time. How many are missing stands in the file: in front of the next frame
// that was written (epb_dropcount), and in the statistics at its end.
package pcap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/nic"
)

// Config says how a capture is written. The zero value of a field takes its
// default.
type Config struct {
	// Origin is the wall-clock time at which the clock of the recorded times
	// was 0. The default is the start of 1970, as simulations want it.
	Origin time.Time

	// Sync writes each frame before Recv or Send returns, with one call of
	// Write and no goroutine: for simulations.
	Sync bool

	Buffer      int    // without Sync: bytes that wait for the disk at the most; default 4 MiB
	SnapLen     int    // bytes of each frame that are kept; default all
	Application string // named in the file as its writer
}

// Direction is which way a frame went: epb_flags, bits 0 and 1.
type Direction uint32

const (
	Inbound  Direction = 1
	Outbound Direction = 2
)

// Stats counts the frames of a capture.
type Stats struct {
	Written uint64
	Dropped uint64 // the buffer was full, or the writer closed or broken
}

// Writer writes one capture. Its methods may be called from any goroutine.
type Writer struct {
	cfg Config
	out io.Writer

	mu      sync.Mutex
	blocks  []*[]byte // for blocks that are not yet committed
	idle    sync.Cond // pending has been written
	ifaces  []*Interface
	pending []byte // to be written
	spare   []byte // what pending will be while its bytes are being written
	writing bool
	closed  bool
	err     error // of the first failed Write; nothing is written after it

	work chan struct{} // pending is no longer empty, or the writer is closed
	done chan struct{}
}

// Create creates the file name, or truncates it, and returns its writer, whose
// Close closes it.
func Create(name string, cfg Config) (*Writer, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return NewWriter(f, cfg)
}

// NewWriter returns a writer to out. If out is an io.Closer, Close closes it.
func NewWriter(out io.Writer, cfg Config) (*Writer, error) {
	if cfg.Buffer < 0 || cfg.SnapLen < 0 {
		return nil, fmt.Errorf("pcap: a buffer of %d and frames of %d bytes: want neither below 0", cfg.Buffer, cfg.SnapLen)
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 4 << 20
	}
	if cfg.Origin.IsZero() {
		cfg.Origin = time.Unix(0, 0)
	}
	w := &Writer{cfg: cfg, out: out}
	w.idle.L = &w.mu
	if !cfg.Sync {
		w.work = make(chan struct{}, 1)
		w.done = make(chan struct{})
		go w.run()
	}
	w.mu.Lock()
	w.append(func(b []byte) []byte { return appendSection(b, cfg.Application) })
	w.mu.Unlock()
	return w, nil
}

// append adds a block that must not be missing, whatever the buffer's bound.
// mu is held.
func (w *Writer) append(block func([]byte) []byte) {
	if w.closed || w.err != nil {
		return
	}
	w.pending = block(w.pending)
	w.appended()
}

// appended passes on what is pending. mu is held.
func (w *Writer) appended() {
	if w.cfg.Sync {
		_, w.err = w.out.Write(w.pending)
		w.pending = w.pending[:0]
		return
	}
	select {
	case w.work <- struct{}{}:
	default:
	}
}

// run writes what is pending until the writer is closed.
func (w *Writer) run() {
	defer close(w.done)
	for range w.work {
		w.mu.Lock()
		for len(w.pending) > 0 && w.err == nil {
			b := w.pending
			w.pending, w.writing = w.spare[:0], true
			w.mu.Unlock()
			_, err := w.out.Write(b)
			w.mu.Lock()
			w.spare, w.writing, w.err = b, false, err
		}
		closed := w.closed
		w.idle.Broadcast()
		w.mu.Unlock()
		if closed {
			return
		}
	}
}

// Flush waits until everything recorded before has been written, and returns
// the error of the first Write that failed.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && (len(w.pending) > 0 || w.writing) {
		w.idle.Wait()
	}
	return w.err
}

// Stats returns how many frames there were so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	var s Stats
	for _, i := range w.ifaces {
		s.Written += i.written
		s.Dropped += i.dropped
	}
	return s
}

// Close writes the statistics of all interfaces and what is pending, and closes
// the file. Devices may go on: their frames are no longer recorded. It returns
// the first error of the capture.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fmt.Errorf("pcap: %w", os.ErrClosed)
	}
	for _, i := range w.ifaces {
		w.append(i.appendStatistics)
	}
	w.closed = true
	w.mu.Unlock()
	if !w.cfg.Sync {
		select {
		case w.work <- struct{}{}:
		default:
		}
		<-w.done
	}
	err := w.err
	if c, ok := w.out.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("pcap: the capture is incomplete: %w", err)
	}
	return nil
}

// Interface is one interface of a capture.
type Interface struct {
	w     *Writer
	index uint32

	// Guarded by w.mu.
	written, dropped uint64
	missing          uint64 // dropped since the last one that was written
	last             time.Duration
}

// AddInterface adds an interface to the capture. The description may be empty.
func (w *Writer) AddInterface(name, description string, mac nic.MAC) *Interface {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := &Interface{w: w, index: uint32(len(w.ifaces))}
	w.ifaces = append(w.ifaces, i)
	w.append(func(b []byte) []byte {
		return appendInterface(b, name, description, mac, w.cfg.SnapLen)
	})
	return i
}

// Record writes a frame that is the caller's or that nobody changes meanwhile.
// at is on the clock of Config.Origin. The comment may be empty: it is for
// simulations, to say what became of the frame.
func (i *Interface) Record(p *nic.Packet, dir Direction, at time.Duration, comment string) {
	block := i.w.block()
	*block = i.encode((*block)[:0], p, dir, at, -1, comment)
	i.commit(*block, at)
	i.w.putBlock(block)
}

// block returns a buffer to make a block in. (A sync.Pool would lose them.)
func (w *Writer) block() *[]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.blocks)
	if n == 0 {
		return new([]byte)
	}
	b := w.blocks[n-1]
	w.blocks = w.blocks[:n-1]
	return b
}

func (w *Writer) putBlock(b *[]byte) {
	w.mu.Lock()
	w.blocks = append(w.blocks, b)
	w.mu.Unlock()
}

// encode appends a block for a frame, not yet complete.
func (i *Interface) encode(b []byte, p *nic.Packet, dir Direction, at time.Duration, queue int, comment string) []byte {
	return appendPacket(b, &packet{
		iface:     i.index,
		time:      i.w.stamp(at),
		direction: dir,
		queue:     queue,
		snapLen:   i.w.cfg.SnapLen,
		comment:   comment,
	}, p)
}

// stamp is the file's time of a time on the capture's clock.
func (w *Writer) stamp(at time.Duration) time.Duration {
	return time.Duration(w.cfg.Origin.UnixNano()) + at
}

// commit completes a block of encode's and queues it, if there is room.
func (i *Interface) commit(block []byte, at time.Duration) {
	w := i.w
	w.mu.Lock()
	defer w.mu.Unlock()
	full := !w.cfg.Sync && len(w.pending)+len(block)+option64Size+endSize > w.cfg.Buffer
	if full || w.closed || w.err != nil {
		i.dropped++
		i.missing++
		return
	}
	start := len(w.pending)
	w.pending = append(w.pending, block...)
	if i.missing > 0 {
		w.pending = option64(w.pending, epbDropCount, i.missing)
		i.missing = 0
	}
	w.pending = end(w.pending, start)
	i.written++
	i.last = max(i.last, at)
	if start == 0 { // else the writing goroutine has more to do anyway
		w.appended()
	}
}

// appendStatistics writes the interface statistics block that closes a capture.
func (i *Interface) appendStatistics(b []byte) []byte {
	start := len(b)
	b = begin(b, blockStatistics)
	b = le.AppendUint32(b, i.index)
	b = appendTime(b, i.w.stamp(i.last))
	if i.dropped > 0 {
		b = option(b, optComment, fmt.Sprintf("%d of %d frames are missing: the disk was too slow for the buffer of %d bytes",
			i.dropped, i.written+i.dropped, i.w.cfg.Buffer))
	}
	b = option64(b, isbReceived, i.written+i.dropped)
	b = option64(b, isbDropped, i.dropped)
	b = option64(b, isbDelivered, i.written)
	return end(b, start)
}
