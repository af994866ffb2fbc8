//go:build linux

package fastnet

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/stack/tcp"
)

// What one end has sent is at the other end a moment later, and how long that moment
// is nobody knows. A situation that needs it there waits for it with these.

// await polls until ok. Whoever waits for what never comes fails after a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(begun), time.Minute, what)
	}
}

// descriptorOf runs f with the descriptor of a socket of the kernel's.
func descriptorOf(t *testing.T, c net.Conn, f func(fd int) error) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var ferr error
	require.NoError(t, raw.Control(func(fd uintptr) { ferr = f(int(fd)) }))
	require.NoError(t, ferr)
}

// received waits until n bytes are at c that nobody has read.
func received(t *testing.T, c tcpConn, n int) {
	t.Helper()
	await(t, "the data has not arrived", func() (there bool) {
		if ours, ok := c.(*TCPConn); ok {
			return ours.stack.Info().Received == n
		}
		descriptorOf(t, c, func(fd int) error {
			queued, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
			there = queued == n
			return err
		})
		return there
	})
}

// over waits until c's connection is no more: a RST has arrived, or both ends have
// closed and know that of each other.
func over(t *testing.T, c tcpConn) {
	t.Helper()
	await(t, "the connection is not over", func() (gone bool) {
		if ours, ok := c.(*TCPConn); ok {
			s := ours.stack.Info().State
			return s == tcp.StateClosed || s == tcp.StateTimeWait
		}
		descriptorOf(t, c, func(fd int) error {
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			gone = err == nil && info.State == unix.BPF_TCP_CLOSE // of a socket whose connection is in TIME-WAIT, too
			return err
		})
		return gone
	})
}

// settled waits until what was sent to the server's host before is there: a datagram
// that took the same way after it has come out.
func (w *world) settled(t *testing.T) {
	t.Helper()
	at := &net.UDPAddr{IP: net.ParseIP(w.serverIP)}
	to, err := w.listenUDP("udp", at)
	require.NoError(t, err)
	defer to.Close()
	from, err := w.dialUDP("udp", nil, to.LocalAddr().(*net.UDPAddr))
	require.NoError(t, err)
	defer from.Close()
	_, err = from.Write([]byte("last"))
	require.NoError(t, err)
	_, err = to.Read(make([]byte, 8))
	require.NoError(t, err)
}

// deadlineTakenBack sets a deadline for call, lets call wait, and takes the deadline
// back before it has passed; call is ended by wake after its time. On a machine that is
// too late for that once the deadline may have ended call: then it is a later one.
func deadlineTakenBack(t *testing.T, set func(time.Time) error, call func() error, wake func()) error {
	t.Helper()
	for d := soon; ; d *= 2 {
		begun := time.Now()
		require.NoError(t, set(begun.Add(d)))
		done := started(call)
		require.NoError(t, set(never))
		if time.Since(begun) < d {
			time.Sleep(time.Until(begun.Add(d + 10*time.Millisecond)))
			wake()
			return <-done
		}
		require.NoError(t, set(past))
		<-done
		require.NoError(t, set(never))
	}
}
