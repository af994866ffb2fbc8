package fastnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// sink counts Writes. It is not an io.ReaderFrom.
type sink struct {
	bytes.Buffer
	writes int
	err    error
}

func (s *sink) ReadFrom(int) {} // hides bytes.Buffer's

func (s *sink) Write(b []byte) (int, error) {
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(b)
}

// filler is some data that does not repeat soon.
func filler(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8*31 + i)
	}
	return b
}

// copies runs every pair of ends of a copy: data flows in at from, and is read at
// the far end of to.
func TestCopiesBetweenAllKindsOfEnds(t *testing.T) {
	l := newLab(t, labConfig{})
	data := filler(3 << 20)
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(path, data, 0o600))

	// kernelPair is a connection of the kernel's, wrapped as ours or bare.
	kernelPair := func(t *testing.T) (a, b net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		a, err = net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		b, err = ln.Accept()
		require.NoError(t, err)
		return a, b
	}
	sources := map[string]func(t *testing.T) io.Reader{
		"file": func(t *testing.T) io.Reader {
			f, err := os.Open(path)
			require.NoError(t, err)
			t.Cleanup(func() { f.Close() })
			return f
		},
		"part of a file": func(t *testing.T) io.Reader {
			f, err := os.Open(path)
			require.NoError(t, err)
			t.Cleanup(func() { f.Close() })
			return io.LimitReader(f, int64(len(data)))
		},
		"the stack's": func(t *testing.T) io.Reader {
			c, s := l.connect(t, "tcp", serverIP+":0")
			go func() { c.Write(data); c.CloseWrite() }()
			return s
		},
		"the kernel's": func(t *testing.T) io.Reader {
			a, b := kernelPair(t)
			t.Cleanup(func() { a.Close(); b.Close() })
			go func() { a.Write(data); a.(*net.TCPConn).CloseWrite() }()
			return &TCPConn{kernel: b.(*net.TCPConn)}
		},
	}
	sinks := map[string]func(t *testing.T) (w io.Writer, got func() string){
		"file": func(t *testing.T) (io.Writer, func() string) {
			f, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			require.NoError(t, err)
			return f, func() string {
				require.NoError(t, f.Close())
				b, err := os.ReadFile(f.Name())
				require.NoError(t, err)
				return string(b)
			}
		},
		"memory": func(t *testing.T) (io.Writer, func() string) {
			w := new(sink)
			return struct{ io.Writer }{w}, w.String
		},
		"the stack's": func(t *testing.T) (io.Writer, func() string) {
			c, s := l.connect(t, "tcp", serverIP+":0")
			got := readAll(s)
			return c, func() string { c.CloseWrite(); return <-got }
		},
		"the kernel's": func(t *testing.T) (io.Writer, func() string) {
			a, b := kernelPair(t)
			t.Cleanup(func() { a.Close(); b.Close() })
			got := readAll(b)
			return &TCPConn{kernel: a.(*net.TCPConn)}, func() string { a.(*net.TCPConn).CloseWrite(); return <-got }
		},
		"package net's": func(t *testing.T) (io.Writer, func() string) {
			a, b := kernelPair(t)
			t.Cleanup(func() { a.Close(); b.Close() })
			got := readAll(b)
			return a, func() string { a.(*net.TCPConn).CloseWrite(); return <-got }
		},
	}
	for from, source := range sources {
		for to, sink := range sinks {
			t.Run(from+" to "+to, func(t *testing.T) {
				r := source(t)
				w, got := sink(t)
				n, err := io.Copy(w, r)
				require.NoError(t, err)
				require.EqualValues(t, len(data), n)
				require.True(t, got() == string(data))
			})
		}
	}
}

// TestWriteToHandsOnPackets: in the sizes that they arrived in, without a buffer
// in between.
func TestWriteToHandsOnPackets(t *testing.T) {
	l := newLab(t, labConfig{})
	c, s := l.connect(t, "tcp", serverIP+":0")
	data := filler(100 * 1448)
	_, err := c.Write(data)
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	w := new(sink)
	n, err := s.WriteTo(struct{ io.Writer }{w})
	require.NoError(t, err)
	require.EqualValues(t, len(data), n)
	require.True(t, bytes.Equal(data, w.Bytes()))
	require.GreaterOrEqual(t, w.writes, 20)
}

func TestWriteToAWriterThatFails(t *testing.T) {
	l := newLab(t, labConfig{})
	c, s := l.connect(t, "tcp", serverIP+":0")
	_, err := c.Write([]byte("lost"))
	require.NoError(t, err)
	full := errors.New("full")
	_, err = s.WriteTo(struct{ io.Writer }{&sink{err: full}})
	require.ErrorIs(t, err, full)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "writeto", op.Op)

	// A connection of ours as the writer has an error of its own inside.
	d, _ := l.connect(t, "tcp", serverIP+":0")
	require.NoError(t, d.CloseWrite())
	_, err = c.Write([]byte("lost"))
	require.NoError(t, err)
	_, err = io.Copy(d, s)
	require.ErrorIs(t, err, syscall.EPIPE)
	require.ErrorAs(t, err, &op)
	require.Equal(t, "writeto", op.Op)
	require.Equal(t, "write", op.Err.(*net.OpError).Op)

	require.NoError(t, s.SetReadDeadline(past))
	_, err = io.Copy(d, s)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorAs(t, err, &op)
	require.Equal(t, "read", op.Err.(*net.OpError).Op)
	_, err = s.WriteTo(new(TCPConn))
	require.ErrorIs(t, err, syscall.EINVAL)
}

// TestACopyAllocatesNothingForItsBytes: a copy of a hundred times as much takes no
// more memory.
func TestACopyAllocatesNothingForItsBytes(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools lose what they hold")
	}
	l := newLab(t, labConfig{})
	in, from := l.connect(t, "tcp", serverIP+":0")
	to, out := l.connect(t, "tcp", serverIP+":0")
	const size = 1 << 20
	data, got := filler(size), make([]byte, size)
	go io.Copy(to, from) // ends with the test
	n := allocs(t, func() {
		go in.Write(data) // one allocation
		if _, err := io.ReadFull(out, got); err != nil {
			t.Fatal(err)
		}
	})
	require.LessOrEqual(t, n, 4.0, "for %d segments", size/1448)
	require.True(t, bytes.Equal(data, got))
}
