package fastnet

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// datagramEnd is a packet socket and whom it talks to: with a nil peer it is
// connected, and Write is used.
type datagramEnd struct {
	net.PacketConn
	peer net.Addr
}

func (e datagramEnd) send(b []byte) (int, error) {
	if e.peer == nil {
		return e.PacketConn.(net.Conn).Write(b)
	}
	return e.WriteTo(b, e.peer)
}

func (e datagramEnd) receive(b []byte) (int, error) {
	if e.peer == nil {
		return e.PacketConn.(net.Conn).Read(b)
	}
	n, from, err := e.ReadFrom(b)
	if err == nil && from.String() != e.peer.String() {
		err = fmt.Errorf("from %v, not from %v", from, e.peer)
	}
	return n, err
}

// packetMaker opens two sockets that know each other. Nothing is lost between
// them that has room in a receive buffer.
type packetMaker func() (c1, c2 datagramEnd, err error)

// testPacketConn is to a net.PacketConn, or a connected datagram socket, what
// nettest.TestConn is to a stream: nettest itself has no such suite. It holds for
// package net's own sockets. most is the largest datagram that is tried.
func testPacketConn(t *testing.T, most int, make packetMaker) {
	run := func(name string, f func(t *testing.T, c1, c2 datagramEnd)) {
		t.Run(name, func(t *testing.T) {
			c1, c2, err := make()
			require.NoError(t, err)
			defer c2.Close()
			defer c1.Close()
			settle(t, c1, c2)
			settle(t, c2, c1)
			// A datagram that is lost fails the test, and does not hang it.
			require.NoError(t, c1.SetReadDeadline(time.Now().Add(2*time.Minute)))
			require.NoError(t, c2.SetReadDeadline(time.Now().Add(2*time.Minute)))
			f(t, c1, c2)
		})
	}
	run("BasicIO", func(t *testing.T, c1, c2 datagramEnd) { testDatagrams(t, c1, c2, most) })
	run("Truncation", testTruncation)
	run("PingPong", testDatagramPingPong)
	run("RacyRead", testRacyReceive)
	run("RacyWrite", testRacySend)
	run("ReadTimeout", testReceiveTimeout)
	run("WriteTimeout", testSendTimeout)
	run("PastTimeout", testDatagramPastTimeout)
	run("PresentTimeout", testDatagramPresentTimeout)
	run("FutureTimeout", testDatagramFutureTimeout)
	run("CloseUnblocks", testCloseUnblocksReceive)
	run("ConcurrentMethods", testDatagramMethods)
}

// settle returns when nothing is under way from one end to the other any more. A
// test before may have sent more than the reader of the path's queue, which waits for
// a processor, has taken: the queue of a TAP interface is full of it then, and loses
// what comes next.
func settle(t *testing.T, from, to datagramEnd) {
	t.Helper()
	b := make([]byte, 64)
	for i := range 300 {
		mark := fmt.Sprint("mark ", i)
		_, err := from.send([]byte(mark))
		require.NoError(t, err)
		require.NoError(t, to.SetReadDeadline(time.Now().Add(time.Second)))
		for err == nil {
			var n int
			if n, err = to.receive(b); err == nil && string(b[:n]) == mark {
				return // those before it have come or are lost
			}
		}
	}
	require.Fail(t, "nothing arrives")
}

// datagramRoundTrip sends a datagram each way.
func datagramRoundTrip(t *testing.T, c1, c2 datagramEnd) {
	t.Helper()
	for _, text := range []string{"there", "again"} {
		n, err := c1.send([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		b := make([]byte, 16)
		n, err = c2.receive(b)
		require.NoError(t, err)
		require.Equal(t, text, string(b[:n]))
		c1, c2 = c2, c1
	}
}

func testDatagrams(t *testing.T, c1, c2 datagramEnd, most int) {
	for _, size := range []int{0, 1, 511, 1472, 1473, 4000, 9000, 65507} {
		if size > most {
			break
		}
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i*7 + size)
		}
		for range 2 {
			n, err := c1.send(want)
			require.NoError(t, err, size)
			require.Equal(t, size, n)
			got := make([]byte, 1<<16)
			n, err = c2.receive(got)
			require.NoError(t, err, size)
			require.True(t, bytes.Equal(want, got[:n]), "%d bytes of %d", n, size)
			c1, c2 = c2, c1
		}
	}
}

func testTruncation(t *testing.T, c1, c2 datagramEnd) {
	for _, text := range []string{"much too long", "next"} {
		_, err := c1.send([]byte(text))
		require.NoError(t, err)
	}
	b := make([]byte, 4)
	for _, want := range []string{"much", "next"} {
		n, err := c2.receive(b)
		require.NoError(t, err)
		require.Equal(t, want, string(b[:n]), "the rest is lost")
	}
}

func testDatagramPingPong(t *testing.T, c1, c2 datagramEnd) {
	ended := make(chan error, 1)
	go func() {
		b := make([]byte, 64)
		for range 500 {
			n, err := c2.receive(b)
			if err == nil {
				_, err = c2.send(b[:n])
			}
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	b := make([]byte, 64)
	for i := range 500 {
		want := fmt.Sprint("ball ", i)
		_, err := c1.send([]byte(want))
		require.NoError(t, err)
		n, err := c1.receive(b)
		require.NoError(t, err)
		require.Equal(t, want, string(b[:n]))
	}
	require.NoError(t, <-ended)
}

// testRacyReceive changes a buffer as soon as the call with it has ended.
func testRacyReceive(t *testing.T, c1, c2 datagramEnd) {
	stop := make(chan struct{})
	var sender, readers sync.WaitGroup
	sender.Go(func() {
		for b := make([]byte, 256); ; {
			select {
			case <-stop:
				return
			default:
				c2.send(b)
			}
		}
	})
	c1.SetReadDeadline(time.Now().Add(time.Millisecond))
	for range 10 {
		readers.Go(func() {
			b := make([]byte, 1024)
			for range 100 {
				_, err := c1.receive(b)
				clear(b)
				if err != nil {
					requireTimeout(t, err)
					c1.SetReadDeadline(time.Now().Add(time.Millisecond))
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	c2.SetWriteDeadline(past) // a unix socket's sender waits for room
	sender.Wait()
}

func testRacySend(t *testing.T, c1, c2 datagramEnd) {
	go func() {
		for b := make([]byte, 1024); ; {
			if _, err := c2.receive(b); err != nil {
				return
			}
		}
	}()
	c1.SetWriteDeadline(time.Now().Add(time.Millisecond))
	var writers sync.WaitGroup
	for range 10 {
		writers.Go(func() {
			b := make([]byte, 1024)
			for range 50 {
				_, err := c1.send(b)
				clear(b)
				if err != nil {
					requireTimeout(t, err)
					c1.SetWriteDeadline(time.Now().Add(time.Millisecond))
				}
			}
		})
	}
	writers.Wait()
}

// testReceiveTimeout: the read deadline is none of sending.
func testReceiveTimeout(t *testing.T, c1, c2 datagramEnd) {
	require.NoError(t, c1.SetReadDeadline(past))
	_, err := c1.receive(make([]byte, 16))
	requireTimeout(t, err)
	_, err = c1.send([]byte("x"))
	require.NoError(t, err)
	_, err = c2.receive(make([]byte, 16))
	require.NoError(t, err)
}

// testSendTimeout: the write deadline is none of receiving.
func testSendTimeout(t *testing.T, c1, c2 datagramEnd) {
	require.NoError(t, c1.SetWriteDeadline(past))
	n, err := c1.send([]byte("x"))
	require.Zero(t, n)
	requireTimeout(t, err)
	_, err = c2.send([]byte("x"))
	require.NoError(t, err)
	_, err = c1.receive(make([]byte, 16))
	require.NoError(t, err)
}

func testDatagramPastTimeout(t *testing.T, c1, c2 datagramEnd) {
	datagramRoundTrip(t, c1, c2)
	require.NoError(t, c1.SetDeadline(past))
	_, err := c1.receive(make([]byte, 16))
	requireTimeout(t, err)
	_, err = c1.send([]byte("x"))
	requireTimeout(t, err)
	require.NoError(t, c1.SetDeadline(never))
	datagramRoundTrip(t, c1, c2)
}

func testDatagramPresentTimeout(t *testing.T, c1, c2 datagramEnd) {
	ended := make(chan error, 1)
	go func() {
		_, err := c1.receive(make([]byte, 16))
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, ended)
	require.NoError(t, c1.SetDeadline(past))
	requireTimeout(t, <-ended)
	require.NoError(t, c1.SetDeadline(never))
	datagramRoundTrip(t, c1, c2)
}

func testDatagramFutureTimeout(t *testing.T, c1, c2 datagramEnd) {
	deadline := time.Now().Add(50 * time.Millisecond)
	require.NoError(t, c1.SetDeadline(deadline))
	_, err := c1.receive(make([]byte, 16))
	requireTimeout(t, err)
	require.False(t, time.Now().Before(deadline))
	require.NoError(t, c1.SetDeadline(never))
	datagramRoundTrip(t, c1, c2)
}

func testCloseUnblocksReceive(t *testing.T, c1, _ datagramEnd) {
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() {
			_, err := c1.receive(make([]byte, 16))
			ended <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	address := c1.LocalAddr().String()
	require.NoError(t, c1.Close())
	for range cap(ended) {
		require.ErrorIs(t, <-ended, net.ErrClosed)
	}
	_, err := c1.receive(make([]byte, 16))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = c1.send([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, c1.SetDeadline(never), net.ErrClosed)
	require.ErrorIs(t, c1.Close(), net.ErrClosed)
	require.Equal(t, address, c1.LocalAddr().String())
}

func testDatagramMethods(t *testing.T, c1, c2 datagramEnd) {
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { c1.receive(make([]byte, 16)) })
		wg.Go(func() { c1.send([]byte("x")) })
		wg.Go(func() { c1.SetDeadline(time.Now().Add(10 * time.Millisecond)) })
		wg.Go(func() { c1.SetReadDeadline(past) })
		wg.Go(func() { c1.SetWriteDeadline(past) })
		wg.Go(func() { c1.LocalAddr() })
		wg.Go(func() { c2.SetReadDeadline(past) })
	}
	wg.Wait()
	c1.SetDeadline(time.Now().Add(2 * time.Minute))
	c2.SetDeadline(time.Now().Add(2 * time.Minute))
	// What was sent meanwhile comes first.
	last := make(chan error, 1)
	go func() {
		_, err := c1.send([]byte("last"))
		last <- err
	}()
	for b := make([]byte, 16); ; {
		n, err := c2.receive(b)
		require.NoError(t, err)
		if string(b[:n]) == "last" {
			break
		}
	}
	require.NoError(t, <-last)
	_, err := c2.send([]byte("done"))
	require.NoError(t, err)
	_, err = c1.receive(make([]byte, 16))
	require.NoError(t, err)
}
