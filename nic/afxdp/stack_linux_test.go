package afxdp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack"
)

var (
	stackIP  = netip.MustParseAddr("10.79.0.3")
	stackIP6 = netip.MustParseAddr("fd79::3")
	hostIP6  = netip.MustParseAddr("fd79::2")
)

// stackHost is a host of ours on the device, with addresses of its own beside
// the kernel's.
func stackHost(t testing.TB, l *lab, cfg Config) (*stack.Host, *host) {
	t.Helper()
	h := l.open(cfg)
	require.NoError(t, h.dev.Filter().SetAddresses([]Address{{stackIP, Exclusive}, {stackIP6, Exclusive}}))
	s := stack.NewHost(stack.Config{})
	_, err := s.Attach(h.dev, stack.InterfaceConfig{
		Addrs:       []netip.Prefix{netip.PrefixFrom(stackIP, 24), netip.PrefixFrom(stackIP6, 64)},
		NoLinkLocal: true, // the kernel has it
	})
	require.NoError(t, err)
	p := stack.NewPoller(stack.PollerConfig{})
	require.NoError(t, p.Add(s))
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		_ = p.Close()
	})
	return s, h
}

// kernelSocket is a TCP socket of the kernel's at the far end.
func (l *lab) kernelSocket(family int) int {
	l.t.Helper()
	fd := -1
	l.inside(l.farNS, func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	l.t.Cleanup(func() { unix.Close(fd) })
	tv := unix.NsecToTimeval(int64(patience))
	require.NoError(l.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	require.NoError(l.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
	return fd
}

// ping sends an echo request from the far end, and waits for the reply. It asks
// again each second, as ping(8) does: while a processor is busy elsewhere the kernel
// may give the search for the Ethernet address up.
func (l *lab) ping(to netip.Addr) {
	l.t.Helper()
	family, protocol, request, reply := unix.AF_INET6, unix.IPPROTO_ICMPV6, byte(128), byte(129)
	if to.Is4() {
		family, protocol, request, reply = unix.AF_INET, unix.IPPROTO_ICMP, 8, 0
	}
	message := []byte{request, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'}
	l.inside(l.farNS, func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		tv := unix.NsecToTimeval(int64(time.Second))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			return err
		}
		var address unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
		if to.Is4() {
			address = &unix.SockaddrInet4{Addr: to.As4()}
			binary.BigEndian.PutUint16(message[2:], ^sum(message))
		}
		if err := unix.Sendto(fd, message, 0, address); err != nil {
			return err
		}
		buf := make([]byte, 1500)
		for end := time.Now().Add(patience); ; {
			n, err := read(fd, buf)
			if err == unix.EAGAIN && time.Now().Before(end) {
				if err := unix.Sendto(fd, message, 0, address); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return fmt.Errorf("no reply from %v: %w", to, err)
			}
			b := buf[:n]
			if to.Is4() {
				b = b[20:]
			}
			if b[0] == reply && bytes.Equal(b[4:], message[4:]) {
				return nil
			}
		}
	})
}

// file reads and writes a socket of the kernel's.
type file int

func (f file) Read(b []byte) (int, error) {
	n, err := read(int(f), b)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), err
}

func (f file) Write(b []byte) (int, error) {
	n, err := write(int(f), b)
	return max(n, 0), err
}

func TestStackMeetsTheKernel(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		queues int
		tx     string // the peer's transmit checksums
		tso    string // and segmentation, in vain with a native attach
	}{
		{"native", Config{}, 1, "on", "on"},
		{"native, complete checksums from the peer, ours in software", Config{NoOffload: true}, 1, "off", "off"},
		{"generic", Config{Attach: AttachGeneric}, 1, "on", "off"},
		{"generic, whole segments from the peer", Config{Attach: AttachGeneric}, 1, "on", "on"},
		{"four queues", Config{}, 4, "on", "on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.queues)
			l.ip("netns", "exec", l.far, "ethtool", "-K", theirs, "tx", c.tx, "tso", c.tso, "gso", c.tso)
			s, h := stackHost(t, l, c.cfg)
			l.ping(stackIP)
			l.ping(stackIP6)
			l.ping(ourIP) // the kernel keeps its own addresses
			l.ping(ourIP6)

			listener, err := s.ListenTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 7), stack.ListenOptions{})
			require.NoError(t, err)
			echoed := make(chan error, 8)
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						_, err := io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
						_ = conn.Close()
						echoed <- err
					}()
				}
			}()
			data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
			exchange := func(rw io.ReadWriter, closeWrite func() error) {
				t.Helper()
				go func() {
					_, _ = rw.Write(data)
					_ = closeWrite()
				}()
				got, err := io.ReadAll(rw)
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got), "%d bytes came back", len(got))
			}
			for _, to := range []unix.Sockaddr{
				&unix.SockaddrInet4{Addr: stackIP.As4(), Port: 7}, &unix.SockaddrInet6{Addr: stackIP6.As16(), Port: 7},
			} {
				family := unix.AF_INET
				if _, six := to.(*unix.SockaddrInet6); six {
					family = unix.AF_INET6
				}
				fd := l.kernelSocket(family)
				require.NoError(t, connect(fd, to))
				exchange(file(fd), func() error { return unix.Shutdown(fd, unix.SHUT_WR) })
				require.NoError(t, <-echoed)
			}

			// And the other way round.
			server := l.kernelSocket(unix.AF_INET6)
			require.NoError(t, unix.Bind(server, &unix.SockaddrInet6{Port: 8}))
			require.NoError(t, unix.Listen(server, 8))
			go func() {
				for range 2 {
					fd, _, err := unix.Accept(server)
					for err == unix.EINTR {
						fd, _, err = unix.Accept(server)
					}
					if err != nil {
						return
					}
					_, _ = io.Copy(file(fd), file(fd))
					_ = unix.Close(fd)
				}
			}()
			for _, to := range []netip.Addr{hostIP, hostIP6} {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				conn, err := s.DialTCP(ctx, netip.AddrPort{}, netip.AddrPortFrom(to, 8), stack.TCPOptions{})
				cancel()
				require.NoError(t, err)
				require.NoError(t, conn.SetDeadline(time.Now().Add(3*patience)))
				exchange(struct{ io.ReadWriter }{conn}, conn.CloseWrite)
				require.NoError(t, conn.Close())
			}
			require.NoError(t, listener.Close())
			n := nic.DeviceStats(h.dev)
			require.Zero(t, n.TxDropped)
			t.Logf("%+v; filter %+v", n, h.dev.Filter().Counters())
		})
	}
}
