package fastnet

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counting is a stream of numbers: what it is to go on with is known at any byte.
type counting struct{ at int }

func (c *counting) fill(b []byte) []byte {
	for i := range b {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(c.at/4))
		b[i] = n[c.at%4]
		c.at++
	}
	return b
}

// What is written to a File and then to its connection arrives in that order, and the
// end after it.
func TestFileAndConnectionWriteInOrder(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	for range 100 {
		write(t, f, "one ")
		write(t, c, "two ")
		write(t, f, "three ")
		_, err := c.ReadFrom(strings.NewReader("four "))
		require.NoError(t, err)
		write(t, f, "five ")
		out := Buffers{[]byte("s"), []byte("ix ")}
		_, err = out.WriteTo(c)
		require.NoError(t, err)
		says(t, peer, "one two three four five six ")
	}
	write(t, f, "the last")
	require.NoError(t, c.CloseWrite())
	require.Equal(t, "the last", <-readAll(peer))
}

// Where the File's bytes find no room a connection's Write waits for them, until its
// deadline.
func TestWriteBehindAFileHasItsDeadline(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	full, sent := make([]byte, 1<<16), 0
	for late := false; !late; { // until the pair and both ends' buffers are full
		for _, w := range []interface {
			io.Writer
			SetWriteDeadline(time.Time) error
		}{f, c} {
			require.NoError(t, w.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
			n, err := w.Write(full)
			sent += n
			if late = n == 0; n < len(full) {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
		}
	}
	require.NoError(t, c.SetWriteDeadline(never))
	require.NoError(t, c.CloseWrite(), "does not wait")
	got, err := io.Copy(io.Discard, peer)
	require.NoError(t, err)
	require.EqualValues(t, sent, got)
}

// A File, its copies and connections made of it take turns to read a stream and to
// write one, each as much as it likes: nothing is lost, and nothing comes twice or out
// of order.
func TestAFileAndConnectionsTakeTurns(t *testing.T) {
	const seed, size = 1, 400_000
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	dup := copyOf(t, f)
	require.NoError(t, c.Close())

	var others sync.WaitGroup
	others.Go(func() { // writes
		r, b := rand.New(rand.NewPCG(seed, 1)), make([]byte, 1<<15)
		for out := (counting{}); out.at < size; {
			peer.Write(out.fill(b[:min(1+r.IntN(1<<(1+r.IntN(15))), size-out.at)]))
			time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
		}
		peer.CloseWrite()
	})
	back := make(chan int, 1)
	others.Go(func() { // reads
		var want counting
		wrong := false
		var b, w [4096]byte
		for {
			n, err := peer.Read(b[:])
			wrong = wrong || string(b[:n]) != string(want.fill(w[:n]))
			switch {
			case err == io.EOF && !wrong:
				back <- want.at
				return
			case err != nil:
				back <- -1
				return
			}
		}
	})
	t.Cleanup(others.Wait)
	t.Cleanup(func() { peer.Close() })

	r := rand.New(rand.NewPCG(seed, 2))
	in, out := counting{}, counting{}
	b, w := make([]byte, 1<<15), make([]byte, 1<<15)
	turn := func(s io.ReadWriter) (end bool) {
		for range 1 + r.IntN(3) {
			s.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Now().Add(time.Duration(1+r.IntN(2000)) * time.Microsecond))
			n, err := s.Read(b[:1+r.IntN(1<<(1+r.IntN(15)))])
			require.Equal(t, string(in.fill(w[:n])), string(b[:n]), "at %d", in.at-n)
			if err == io.EOF {
				return true
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				require.NoError(t, err)
			}
			_, err = s.Write(out.fill(w[:r.IntN(2000)]))
			require.NoError(t, err)
		}
		return false
	}
	for end := false; !end; {
		switch r.IntN(4) {
		case 0:
			again := connOf(t, f)
			end = turn(again)
			require.NoError(t, again.Close())
		case 1:
			again, second := connOf(t, dup), connOf(t, f)
			end = turn(second)
			require.NoError(t, again.Close())
			end = end || turn(second)
			require.NoError(t, second.Close())
		case 2:
			end = turn(dup)
		case 3:
			end = turn(f)
		}
	}
	require.Equal(t, size, in.at)
	require.NoError(t, f.Close())
	require.NoError(t, dup.Close())
	require.Equal(t, out.at, <-back)
}
