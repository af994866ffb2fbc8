package fastnet

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// documented are the options that ListenConfig's documentation names.
var documented = []string{
	"SO_REUSEPORT", "SO_RCVBUF", "SO_SNDBUF", "IP_TOS", "IPV6_TCLASS", "IP_TTL", "IPV6_UNICAST_HOPS", "IPV6_V6ONLY",
	"SO_LINGER", "TCP_USER_TIMEOUT", "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_NODELAY", "SO_REUSEADDR",
	"SO_BROADCAST", "IP_PKTINFO", "IPV6_RECVPKTINFO", "IP_RECVTOS", "IPV6_RECVTCLASS", "IP_RECVTTL", "IPV6_RECVHOPLIMIT",
	"IP_MULTICAST_TTL", "IP_MULTICAST_LOOP", "IPV6_MULTICAST_HOPS", "IPV6_MULTICAST_LOOP", "IPV6_MULTICAST_IF",
	"SO_BINDTODEVICE", "SO_MARK", "TCP_FASTOPEN", "TCP_CONGESTION", "IP_TRANSPARENT",
}

// ignored are those that package net sets itself or that ask for what is done
// anyway; keep-alive is heard when package net leaves it alone.
var ignored = []string{
	"SO_BUSY_POLL", "TCP_NODELAY", "IP_BIND_ADDRESS_NO_PORT", "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT",
}

// change sets an option of a socket to something else than it was, and reports
// whether the kernel has taken it.
func change(fd int, o *option) bool {
	read := o.read
	if read == nil {
		read = unix.GetsockoptInt
	}
	was, err := read(fd, o.level, o.opt)
	if err != nil {
		return false
	}
	set := func(v int) error { return unix.SetsockoptInt(fd, o.level, o.opt, v) }
	switch o.name {
	case "SO_LINGER":
		set = func(v int) error {
			return unix.SetsockoptLinger(fd, o.level, o.opt, &unix.Linger{Onoff: 1, Linger: int32(v)})
		}
	case "SO_RCVTIMEO", "SO_SNDTIMEO":
		set = func(v int) error { return unix.SetsockoptTimeval(fd, o.level, o.opt, &unix.Timeval{Sec: int64(v)}) }
	case "SO_BINDTODEVICE":
		set = func(int) error { return unix.BindToDevice(fd, "lo") }
	case "TCP_CONGESTION":
		set = func(v int) error {
			return unix.SetsockoptString(fd, o.level, o.opt, []string{"reno", "cubic"}[v&1])
		}
	case "the address, by bind or connect":
		set = func(int) error {
			return errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 0, Addr: [4]byte{127, 0, 0, 1}}))
		}
	}
	for _, v := range []int{1, 2, 40, 1000, 50000, 0} {
		if set(v) != nil {
			continue
		}
		if is, err := read(fd, o.level, o.opt); err == nil && is != was {
			return true
		}
	}
	return false
}

// TestEachOptionIsHonouredOrRefusedByName sets every option that is looked at, as
// far as this kernel lets it, in hooks of listeners and dials of each kind.
func TestEachOptionIsHonouredOrRefusedByName(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	seen := make(map[string]bool)
	for i := range options {
		o := &options[i]
		// Some of IPv6's are the same as IPv4's to the kernel.
		suffix := strings.TrimPrefix(strings.TrimPrefix(o.name, "IPV6"), "IP") + ":"
		for _, network := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
			changed := false
			control := func(_, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) { changed = change(int(fd), o) })
			}
			host := map[byte]string{'4': "127.0.0.1", '6': "::1"}[network[3]]
			check := func(what string, set socketOptions, err error) {
				if !changed {
					require.NoError(t, err, "%s %s %s", o.name, network, what)
					return
				}
				seen[o.name] = true
				name := fmt.Sprint(o.name, " ", network, " ", what)
				switch {
				case o.set == nil:
					require.ErrorIs(t, err, errors.ErrUnsupported, name)
					require.ErrorContains(t, err, "Control has set ", name)
					require.ErrorContains(t, err, suffix, name)
				case slices.Contains(ignored, o.name), network[:3] == "tcp" && (o.name == "SO_REUSEADDR" || o.name == "SO_BROADCAST"):
					require.NoError(t, err, name)
					set.keepAlive, set.reuseAddr = nil, false
					require.Zero(t, set, name)
				default:
					require.NoError(t, err, name)
					require.False(t, reflect.ValueOf(set).IsZero(), "%s was not read back", name)
				}
			}
			lc, d := &ListenConfig{Control: control}, &Dialer{Control: control}
			var addr Addr = &TCPAddr{IP: net.ParseIP(host), Port: 9}
			if network[:3] == "udp" {
				addr = &UDPAddr{IP: net.ParseIP(host), Port: 9}
			}
			set, err := lc.controlListener(t.Context(), network, addr)
			check("listener", set, err)
			changed = false
			set, err = d.controlDial(t.Context(), network, nil, addr)
			check("dial", set, err)
			if !changed || o.set != nil {
				continue
			}
			// The caller of the API sees the same error.
			if network[:3] == "tcp" {
				_, err = n.ListenWith(t.Context(), lc, network, net.JoinHostPort(host, "0"))
			} else {
				_, err = n.ListenPacketWith(t.Context(), lc, network, net.JoinHostPort(host, "0"))
			}
			require.ErrorContains(t, err, suffix)
			_, err = n.DialWith(t.Context(), d, network, net.JoinHostPort(host, "9"))
			require.ErrorContains(t, err, suffix)
		}
	}
	for _, name := range documented {
		require.True(t, slices.ContainsFunc(options, func(o option) bool { return o.name == name }), "%s is not looked at", name)
		if !seen[name] {
			t.Log("this kernel, or this user's rights, do not let it be set: ", name)
		}
	}
	require.Greater(t, len(seen), len(options)/2)
}

func TestTimesToLiveOfZeroAreRefused(t *testing.T) {
	n, err := New(Config{LoopbackOnly: true})
	require.NoError(t, err)
	defer n.Close()
	lc := ListenConfig{Control: sets(unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 0)}
	_, err = n.ListenPacketWith(t.Context(), &lc, "udp4", "127.0.0.1:0")
	require.ErrorContains(t, err, "Control has set IP_MULTICAST_TTL to 0:")
}
