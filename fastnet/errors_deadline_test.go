//go:build linux

package fastnet

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// started runs f on another goroutine, and gives it time to wait.
func started(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	time.Sleep(20 * time.Millisecond)
	return done
}

var deadlineSituations = []situation{
	{"a read deadline that changes while Read waits", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		read := func() error { return errOf(c.Read(make([]byte, 1))) }
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		sooner := started(read)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		first := <-sooner
		require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		later := started(read)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		second := <-later
		require.NoError(t, c.SetReadDeadline(never))
		none := deadlineTakenBack(t, c.SetReadDeadline, read, func() {
			_, err := s.Write([]byte("x"))
			require.NoError(t, err)
		})
		return list(first, second, none)
	}},
	{"a write deadline that changes while Write waits", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		write := func() error {
			return until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) })
		}
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
		sooner := started(write)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
		first := <-sooner
		require.NoError(t, c.SetWriteDeadline(never))
		now := started(write)
		require.NoError(t, c.SetWriteDeadline(past))
		return list(first, <-now, errOf(c.Write(nil)))
	}},
	{"SetDeadline ends Reads and Writes that wait", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		read := started(func() error { return errOf(c.Read(make([]byte, 1))) })
		write := started(func() error {
			return until(t, func() error { return errOf(c.Write(make([]byte, 1<<20))) })
		})
		require.NoError(t, c.SetDeadline(past))
		return list(<-read, <-write)
	}},
	{"a read deadline leaves writes alone", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.SetReadDeadline(past))
		wrote := both(c.Write([]byte("x")))
		require.NoError(t, s.SetWriteDeadline(past))
		return list(wrote, both(s.Read(make([]byte, 4))), errOf(s.Write([]byte("x"))), errOf(c.Read(make([]byte, 1))))
	}},
	{"a deadline goes before data, an end and a RST", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		d, r := w.pair(t)
		_, err := s.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		received(t, c, 1)
		reset(t, r, d)
		require.NoError(t, c.SetDeadline(past))
		require.NoError(t, d.SetDeadline(past))
		b := make([]byte, 4)
		late := list(errOf(c.Read(b)), errOf(d.Read(b)), errOf(d.Write(b)), both(c.Read(nil)), both(c.Write(nil)))
		require.NoError(t, c.SetDeadline(never))
		require.NoError(t, d.SetDeadline(never))
		return append(late, both(c.Read(b)), both(c.Read(b)), both(d.Read(b)))
	}},
	{"Close goes before a deadline", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		require.NoError(t, c.SetDeadline(past))
		require.NoError(t, c.Close())
		return list(errOf(c.Read(make([]byte, 1))), errOf(c.Write([]byte("x"))), c.SetDeadline(past))
	}},
	{"a Write whose time is over halfway", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(4*soon)))
		n, err := c.Write(make([]byte, 64<<20))
		require.NoError(t, c.Close())
		got, rerr := io.Copy(io.Discard, s)
		return list(n < 64<<20, err, int(got) == n, rerr)
	}},
	{"deadlines of ReadFrom and WriteTo", func(t *testing.T, w *world) []any {
		c, _ := w.pair(t)
		require.NoError(t, c.SetDeadline(past))
		late := list(both(c.ReadFrom(bytes.NewReader([]byte("x")))), both(c.ReadFrom(bytes.NewReader(nil))), both(c.WriteTo(io.Discard)))
		require.NoError(t, c.SetDeadline(never))
		n, err := c.ReadFrom(&endless{begun: func() {
			require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
		}})
		return append(late, n > 0, err, both(c.WriteTo(io.Discard)))
	}},
	{"a deadline far away, and times that no clock has", func(t *testing.T, w *world) []any {
		c, s := w.pair(t)
		far := time.Now().Add(200 * 365 * 24 * time.Hour)
		results := list(c.SetDeadline(far), c.SetReadDeadline(time.Unix(1<<40, 0)), both(c.Write([]byte("x"))), both(s.Read(make([]byte, 1))))
		return append(results, c.SetDeadline(time.Unix(0, 0)), errOf(c.Read(make([]byte, 1))), c.SetDeadline(time.Unix(-1<<40, 0)), errOf(c.Write([]byte("x"))))
	}},
	{"a deadline for each of many calls", func(t *testing.T, w *world) (results []any) {
		c, s := w.pair(t)
		for range 3 {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			results = append(results, errOf(c.Read(make([]byte, 1))))
			require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
			_, err := s.Write([]byte("x"))
			require.NoError(t, err)
			results = append(results, both(c.Read(make([]byte, 1))))
		}
		return results
	}},
}

// endless is a reader that has always more. It calls begun when it is read for the
// second time: the first part has been written.
type endless struct {
	reads int
	begun func()
}

func (e *endless) Read(b []byte) (int, error) {
	if e.reads++; e.reads == 2 {
		e.begun()
	}
	return len(b), nil
}
