package fastnet

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// allocs is AllocsPerRun after a warm-up in which pools fill.
func allocs(t *testing.T, f func()) float64 {
	if raceEnabled {
		t.Skip("under the race detector pools lose what they hold")
	}
	for range 200 {
		f()
	}
	return testing.AllocsPerRun(500, f)
}

func TestTCPReadAndWriteDoNotAllocate(t *testing.T) {
	for _, size := range []int{1, 100, 1460, 10_000} {
		l := newLab(t, labConfig{})
		c, s := l.connect(t, "tcp", serverIP+":0")
		out, in := make([]byte, size), make([]byte, size)
		n := allocs(t, func() {
			if _, err := c.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(s, in); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(in[:1]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, out[:1]); err != nil {
				t.Fatal(err)
			}
		})
		require.Zero(t, n, "writes of %d bytes", size)
	}
}

func TestUDPWithAddrPortDoesNotAllocate(t *testing.T) {
	l := newLab(t, labConfig{})
	c, err := l.client.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer c.Close()
	s, err := l.server.ListenUDP("udp", nil)
	require.NoError(t, err)
	defer s.Close()
	to := netip.AddrPortFrom(netip.MustParseAddr(serverIP), uint16(s.LocalAddr().(*net.UDPAddr).Port))
	out, in := make([]byte, 512), make([]byte, 2048)
	n := allocs(t, func() {
		if _, err := c.WriteToUDPAddrPort(out, to); err != nil {
			t.Fatal(err)
		}
		_, from, err := s.ReadFromUDPAddrPort(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteToUDPAddrPort(out, from); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadFromUDPAddrPort(in); err != nil {
			t.Fatal(err)
		}
	})
	require.Zero(t, n)
}

func TestReadFromUDPDoesNotAllocateTheAddressOfACallerThatForgetsIt(t *testing.T) {
	l := newLab(t, labConfig{})
	c, err := l.client.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(clientIP), Port: 5000})
	require.NoError(t, err)
	defer c.Close()
	s, err := l.client.ListenUDP("udp4", &net.UDPAddr{Port: 5000})
	require.NoError(t, err)
	defer s.Close()
	out, in := make([]byte, 64), make([]byte, 64)
	n := allocs(t, func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		_, from, err := s.ReadFromUDP(in)
		if err != nil || from.Port == 0 {
			t.Fatal(err)
		}
	})
	require.LessOrEqual(t, n, 1.0, "the four bytes of the address, as in package net")
}

func TestAddressesAndDeadlinesDoNotAllocate(t *testing.T) {
	l := newLab(t, labConfig{})
	c, _ := l.connect(t, "tcp", serverIP+":0")
	require.Same(t, c.LocalAddr(), c.LocalAddr())
	past := time.Unix(1, 0)
	n := allocs(t, func() {
		_ = c.LocalAddr()
		_ = c.RemoteAddr()
		c.SetReadDeadline(past)
		c.SetReadDeadline(time.Time{})
		c.SetDeadline(time.Now().Add(time.Minute))
	})
	require.Zero(t, n)
}
