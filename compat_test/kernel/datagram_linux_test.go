package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Datagrams of all sizes come back, those larger than the MTU in fragments.
func TestDatagrams(t *testing.T) {
	links := append([]link{{name: "MTU 1280", mtu: 1280}, {name: "MTU 9000", mtu: 9000, noOffload: true}}, plain...)
	forEachRole(t, links, func(t *testing.T, r *roles) {
		server := r.server.listenPacket(t, r.address)
		defer server.Close()
		client := r.client.dialPacket(t, r.address)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
		require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
		const most = 65_507 // of IPv4
		in := make([]byte, most+1)
		for _, size := range []int{0, 1, 2, 100, 1231, 1232, 1233, 1452, 1453, 1472, 1473, 2800, 8952, 8973, 20_000, most} {
			out := bytes.Repeat([]byte(fmt.Sprintf("%d.", size)), size/2+1)[:size]
			_, err := client.Write(out)
			require.NoError(t, err, "%d bytes", size)
			k, from, err := server.ReadFrom(in)
			require.NoError(t, err, "%d bytes", size)
			require.True(t, bytes.Equal(out, in[:k]), "%d bytes arrive as %d", size, k)
			require.Equal(t, client.LocalAddr().String(), from.String())
			_, err = server.WriteTo(in[:k], from)
			require.NoError(t, err, "%d bytes", size)
			k, err = client.Read(in)
			require.NoError(t, err, "%d bytes", size)
			require.True(t, bytes.Equal(out, in[:k]), "%d bytes come back as %d", size, k)
		}
		_, err := client.Write(make([]byte, 70_000))
		require.ErrorIs(t, err, syscall.EMSGSIZE)
	})
}

// A closed port answers a connected socket with ECONNREFUSED.
func TestDatagramsToAClosedPortAreRefused(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		client := r.client.dialPacket(t, r.address)
		defer client.Close()
		// The kernel limits the rate of its ICMP errors, on older versions for all
		// namespaces together: one may be left out.
		var err error
		for end := time.Now().Add(patience); !errors.Is(err, syscall.ECONNREFUSED); {
			require.True(t, time.Now().Before(end), "no word of the closed port: %v", err)
			if _, err = client.Write([]byte("anybody?")); err == nil {
				require.NoError(t, client.SetReadDeadline(time.Now().Add(2*time.Second)))
				_, err = client.Read(make([]byte, 1))
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				require.ErrorIs(t, err, syscall.ECONNREFUSED)
			}
		}
		// And it goes on working.
		server := r.server.listenPacket(t, r.address)
		defer server.Close()
		require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
		if _, err = client.Write([]byte("now")); errors.Is(err, syscall.ECONNREFUSED) {
			_, err = client.Write([]byte("now")) // another one of before
		}
		require.NoError(t, err)
		b := make([]byte, 10)
		n, _, err := server.ReadFrom(b)
		for ; err == nil && string(b[:n]) == "anybody?"; n, _, err = server.ReadFrom(b) { // one that was sent twice
		}
		require.NoError(t, err)
		require.Equal(t, "now", string(b[:n]))
	})
}

// A flood is received or dropped, and the sockets work after it.
func TestDatagramFlood(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		server := r.server.listenPacket(t, r.address)
		defer server.Close()
		client := r.client.dialPacket(t, r.address)
		defer client.Close()
		for range r.scaled(20_000, 2_000, 100) {
			if _, err := client.Write(make([]byte, 1000)); err != nil {
				require.ErrorIs(t, err, syscall.ENOBUFS)
			}
		}
		// What has arrived, and what comes after it, which is dropped too as long as
		// the queues are full.
		b := make([]byte, 2000)
		for end := time.Now().Add(patience); ; {
			if _, err := client.Write([]byte("after")); err != nil {
				require.ErrorIs(t, err, syscall.ENOBUFS)
			}
			require.NoError(t, server.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			n, _, err := server.ReadFrom(b)
			for ; err == nil && n == 1000; n, _, err = server.ReadFrom(b) {
			}
			if err == nil {
				require.Equal(t, "after", string(b[:n]))
				break
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.True(t, time.Now().Before(end), "nothing arrives any more")
		}
	})
}

// What the kernel pings answers, small or in fragments (RFC 792; RFC 4443
// section 4.1).
func TestPing(t *testing.T) {
	for _, l := range plain {
		for _, f := range families {
			t.Run(l.name+"/"+f.name, func(t *testing.T) {
				r := newRig(t, l)
				for _, size := range []int{0, 1, 56, 1452, 1472, 1473, 4000, 20_000, 65_000} {
					ping(t, r, f.kernel.Addr(), f.ours.Addr(), size)
				}
			})
		}
	}
}

func ping(t *testing.T, r *rig, from, to netip.Addr, size int) {
	t.Helper()
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	var c net.PacketConn
	require.NoError(t, r.ns.do(func() (err error) {
		c, err = net.ListenPacket(network, from.String())
		return err
	}))
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	out := make([]byte, 8+size)
	out[0] = request
	binary.BigEndian.PutUint16(out[4:], 77)
	binary.BigEndian.PutUint16(out[6:], uint16(size))
	for i := range size {
		out[8+i] = byte(i * 7)
	}
	if to.Is4() { // the kernel computes the sum of ICMPv6 alone
		binary.BigEndian.PutUint16(out[2:], internetSum(out))
	}
	_, err := c.WriteTo(out, &net.IPAddr{IP: to.AsSlice()})
	require.NoError(t, err, "%d bytes", size)
	in := make([]byte, 70_000)
	for {
		n, _, err := c.ReadFrom(in)
		require.NoError(t, err, "no reply to %d bytes: %v", size, r.network.Stats())
		if n < 8 || in[0] != reply || !bytes.Equal(in[4:6], out[4:6]) {
			continue // another message
		}
		require.True(t, bytes.Equal(out[4:], in[4:n]), "%d bytes come back as %d", size, n-8)
		return
	}
}

// internetSum is the checksum of RFC 1071.
func internetSum(b []byte) uint16 {
	var s uint32
	for i, x := range b {
		if i%2 == 0 {
			s += uint32(x) << 8
		} else {
			s += uint32(x)
		}
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
