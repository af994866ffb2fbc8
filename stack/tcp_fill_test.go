package stack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// readFunc is an io.Reader.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// gathered collects what arrives at c.
func gathered(c *TCPConn) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(reader{c})
		all <- b
	}()
	return all
}

func TestFillSendsWhatIsRead(t *testing.T) {
	for name, cfg := range map[string]wire.Config{"plain": {}, "checksum": {Checksum: true}, "TSO": {TSO: true}} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, cfg)
			s, c := p.connect(t, "10.0.0.1:80")
			data, got := pattern(5<<20), gathered(s)
			var sizes []int
			r := bytes.NewReader(data)
			n, readErr, writeErr := c.Fill(readFunc(func(b []byte) (int, error) {
				sizes = append(sizes, len(b))
				return r.Read(b)
			}), false)
			require.Equal(t, io.EOF, readErr)
			require.NoError(t, writeErr)
			require.EqualValues(t, len(data), n)
			require.Equal(t, []int{SmallRead, 32 << 10, 32 << 10}, sizes[:3])
			require.NoError(t, c.CloseWrite())
			require.True(t, bytes.Equal(data, <-got))
			c.Close()
			s.Close()
		})
	}
}

// While the reader of a Fill blocks, what others write goes out, and the bytes of a
// read and of a Write stay together.
func TestFillAmongWrites(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	require.NoError(t, c.SetWriteBuffer(100_000))
	got := gathered(s)
	const writers, records = 3, 200
	// A record: the length of what follows, the writer, a number, and that again and
	// again.
	record := func(b []byte, writer, n int) []byte {
		binary.BigEndian.PutUint16(b, uint16(len(b)-2))
		for i := range b[2:] {
			b[2+i] = byte([2]int{writer, n}[i%2])
		}
		return b
	}
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for n := range records {
				_, err := c.Write(record(make([]byte, 4+2*(n*977%30_000/2)), w, n))
				require.NoError(t, err)
			}
		})
	}
	n := 0
	_, readErr, writeErr := c.Fill(readFunc(func(b []byte) (int, error) {
		if n == records {
			return 0, io.EOF
		}
		k := len(record(b[:min(len(b), 4+2*(n*1913%32_000/2))], writers, n))
		n++
		return k, nil
	}), true)
	require.Equal(t, io.EOF, readErr)
	require.NoError(t, writeErr)
	done.Wait()
	require.NoError(t, c.CloseWrite())
	next := [writers + 1]int{}
	for b := <-got; len(b) > 0; {
		n := int(binary.BigEndian.Uint16(b))
		r := b[2 : 2+n]
		b = b[2+n:]
		w := r[0]
		require.Equal(t, byte(next[w]), r[1], "of writer %d", w)
		next[w]++
		require.Equal(t, n/2, bytes.Count(r, r[:2]), "mixed with another's")
	}
	for _, n := range next {
		require.Equal(t, records, n)
	}
	c.Close()
	s.Close()
}

func TestFillWhoseReaderBlocks(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	r, w := io.Pipe()
	defer r.Close()
	type end struct{ read, write error }
	ended := make(chan end)
	fill := func() {
		_, readErr, writeErr := c.Fill(r, false)
		ended <- end{readErr, writeErr}
	}
	go fill()
	_, err := w.Write([]byte("a"))
	require.NoError(t, err)
	buf := make([]byte, 10)
	read := func() string {
		n, err := s.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
	require.Equal(t, "a", read(), "what was read goes out at once")
	_, err = c.Write([]byte("b"))
	require.NoError(t, err)
	require.Equal(t, "b", read())

	// A deadline stops what is written, and not the reader.
	require.NoError(t, c.SetWriteDeadline(time.Unix(1, 0)))
	_, err = w.Write([]byte("c"))
	require.NoError(t, err)
	require.Equal(t, end{nil, errDeadline}, <-ended)
	require.NoError(t, c.SetWriteDeadline(time.Time{}))

	// The connection is closed: the reader is not, and what it reads is lost.
	go fill()
	_, err = w.Write([]byte("d"))
	require.NoError(t, err)
	require.Equal(t, "d", read())
	require.NoError(t, c.Close())
	_, err = w.Write([]byte("e"))
	require.NoError(t, err)
	require.Equal(t, end{nil, ErrClosed}, <-ended)
	s.Close()
}

func TestFillWaitsForTheSendBuffer(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	require.NoError(t, c.SetWriteBuffer(50_000))
	require.NoError(t, s.SetReadBuffer(10_000))
	sent := make(chan error)
	go func() {
		_, _, err := c.Fill(readFunc(func(b []byte) (int, error) { return len(b), nil }), true)
		sent <- err
	}()
	waits := func() bool {
		c.lock()
		defer c.unlock()
		return c.wq.waits.waiting > 0
	}
	require.Eventually(t, waits, patience, time.Millisecond)
	i := c.Info()
	require.LessOrEqual(t, i.InFlight+i.Unsent, 50_000)
	require.NoError(t, c.Close())
	require.Equal(t, ErrClosed, <-sent)
	s.Close()
}

func TestFillEndsWithAnError(t *testing.T) {
	p := newPair(t, wire.Config{})
	s, c := p.connect(t, "10.0.0.1:80")
	broken := errors.New("broken")
	n, readErr, writeErr := c.Fill(readFunc(func(b []byte) (int, error) { return copy(b, "some"), broken }), false)
	require.EqualValues(t, 4, n)
	require.Equal(t, broken, readErr)
	require.NoError(t, writeErr)
	require.Panics(t, func() { c.Fill(readFunc(func([]byte) (int, error) { panic("in the reader") }), true) })
	require.NoError(t, c.CloseWrite())
	one := readFunc(func(b []byte) (int, error) { return 1, io.EOF })
	n, readErr, writeErr = c.Fill(one, false)
	require.Zero(t, n)
	require.Equal(t, io.EOF, readErr)
	require.Equal(t, errBrokenPipe, writeErr)
	b, err := io.ReadAll(reader{s})
	require.NoError(t, err)
	require.Equal(t, "some", string(b))
	s.Close()
	c.Close()
}

// A Fill whose reader brings nothing holds a small buffer, and none when it has
// ended.
func TestFillHoldsLittle(t *testing.T) {
	d := newDuo(t, wire.Config{}, Config{})
	s, c := d.connect(d.listen("10.0.0.1:80"), TCPOptions{})
	before := d.b.BuffersInUse()
	reads := 0
	_, readErr, _ := c.Fill(readFunc(func(b []byte) (int, error) {
		require.Equal(t, before+1, d.b.BuffersInUse())
		if reads++; reads == 2 {
			require.Len(t, b, SmallRead)
			return 0, io.EOF
		}
		return 0, nil
	}), true)
	require.Equal(t, io.EOF, readErr)
	require.Equal(t, before, d.b.BuffersInUse())
	if !raceEnabled {
		buf, big := make([]byte, 1<<20), pattern(1<<20)
		r := bytes.NewReader(nil)
		require.NoError(t, c.SetWriteBuffer(2<<20))
		require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
			r.Reset(big)
			n, _, err := c.Fill(r, true)
			if n != 1<<20 || err != nil {
				t.Fatal(n, err)
			}
			for got := 0; got < 1<<20; {
				d.run()
				k, err := s.TryRead(buf)
				if err != nil {
					t.Fatal(err)
				}
				got += k
			}
		}), 2.0, "for 1 MiB")
	}
}
