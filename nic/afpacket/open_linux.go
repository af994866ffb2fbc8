package afpacket

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

// lookUp returns the interface's state, if the stack can be on it beside the
// kernel.
func lookUp(cfg *Config) (link.State, error) {
	n, err := link.Open()
	if err != nil {
		return link.State{}, err
	}
	defer n.Close()
	s, err := n.Get(cfg.Interface)
	switch {
	case errors.Is(err, unix.ENODEV):
		return s, fmt.Errorf("%s: there is no such interface: choose one that \"ip link\" shows: %w", cfg.Interface, err)
	case err != nil:
		return s, fmt.Errorf("looking up %s: %w", cfg.Interface, err)
	case s.Type != unix.ARPHRD_ETHER || s.MAC == nic.MAC{}:
		return s, fmt.Errorf("%s is no Ethernet interface: choose one whose \"ip link\" says link/ether", cfg.Interface)
	}
	for _, a := range cfg.Addrs {
		local, err := n.IsLocal(a.Addr())
		if err != nil {
			return s, fmt.Errorf("looking up the route to %v: %w", a, err)
		}
		if local {
			return s, fmt.Errorf("addr=%v: the kernel has this address itself, and would answer too: choose another one of %s's subnet, or xdp: with ports= to share it: %w",
				a, cfg.Interface, unix.EADDRINUSE)
		}
		if !cfg.OwnMAC && forwards(cfg.Interface, a.Addr().Is4()) {
			return s, fmt.Errorf("%s: the kernel forwards packets (sysctl %s), those for %v too: give the stack a MAC address of its own with mac=auto",
				cfg.Interface, forwarding(cfg.Interface, a.Addr().Is4(), "."), a.Addr())
		}
	}
	return s, nil
}

// forwarding is the name of the setting that makes the kernel forward what an
// interface receives.
func forwarding(name string, v4 bool, separator string) string {
	family := "ipv6"
	if v4 {
		family = "ipv4"
	}
	return strings.Join([]string{"net", family, "conf", name, "forwarding"}, separator)
}

// forwards reports whether the kernel forwards. The thread's namespace counts.
func forwards(name string, v4 bool) bool {
	b, err := os.ReadFile("/proc/sys/" + forwarding(name, v4, "/"))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// openSockets opens the sockets of all queues in the thread's network namespace.
func openSockets(cfg *Config, index int32) (fds []int, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}()
	var own *nic.MAC
	if cfg.OwnMAC {
		own = &cfg.MAC
	}
	program := filter(cfg.Addrs, own)
	group := 0
	for range cfg.Queues {
		// Protocol 0: nothing comes before bind.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fds, socketError(err)
		}
		fds = append(fds, fd)
		if err := setOptions(fd, cfg); err != nil {
			return fds, err
		}
		first := program
		if cfg.Queues > 1 { // until all have joined the group, each would receive everything
			first = nothing()
		}
		if err := attachFilter(fd, first); err != nil {
			return fds, err
		}
		all := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: int(index)}
		if err := unix.Bind(fd, all); err != nil {
			return fds, fmt.Errorf("binding a packet socket to %s: %w", cfg.Interface, err)
		}
		if cfg.Queues > 1 {
			if group, err = join(fd, group); err != nil {
				return fds, fmt.Errorf("%s: joining %d queues (PACKET_FANOUT): %w: bring the interface up first, or have one queue", cfg.Interface, cfg.Queues, err)
			}
		}
	}
	// One membership is enough, and it ends with the socket. IPv6 asks for an
	// address by a multicast frame that the interface would not let in (RFC 4861
	// section 7.2.1), and the stack's groups are not known to the kernel.
	if err := membership(fds[0], index, unix.PACKET_MR_ALLMULTI, nic.MAC{}); err != nil {
		return fds, fmt.Errorf("%s: receiving multicast frames (PACKET_MR_ALLMULTI): %w", cfg.Interface, err)
	}
	if own != nil {
		if err := membership(fds[0], index, unix.PACKET_MR_UNICAST, *own); err != nil {
			return fds, fmt.Errorf("mac=: %s does not receive for a second address (PACKET_MR_UNICAST): leave mac= out: %w", cfg.Interface, err)
		}
	}
	if cfg.Queues > 1 {
		for _, fd := range fds {
			if err := attachFilter(fd, program); err != nil {
				return fds, err
			}
		}
	}
	return fds, nil
}

func setOptions(fd int, cfg *Config) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return fmt.Errorf("asking for the frames' metadata (PACKET_VNET_HDR): %w", err)
	}
	// Linux 4.20; the filter refuses them too.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if cfg.QdiscBypass {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return fmt.Errorf("bypassing the queueing discipline (PACKET_QDISC_BYPASS): %w", err)
		}
	}
	// Without CAP_NET_ADMIN as much as net.core.rmem_max and wmem_max allow.
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, cfg.Buffer) == nil {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, cfg.Buffer); err != nil {
			return fmt.Errorf("setting the size of the socket's buffers: %w", err)
		}
	}
	return nil
}

// join makes the socket one of a fanout group, among which flows are spread by
// their hash; group 0 founds one. It returns the group's number.
func join(fd, group int) (int, error) {
	flags := []int{unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING, 0}
	if group == 0 {
		var err error
		for _, f := range flags {
			if err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT,
				(unix.PACKET_FANOUT_HASH|f|unix.PACKET_FANOUT_FLAG_UNIQUEID)<<16); err == nil {
				// What the kernel tells is what the others say to join.
				return unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
			}
		}
		return 0, err
	}
	return group, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group)
}

func membership(fd int, index int32, kind uint16, address nic.MAC) error {
	request := unix.PacketMreq{Ifindex: index, Type: kind}
	if address != (nic.MAC{}) {
		request.Alen = uint16(copy(request.Address[:], address[:]))
	}
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &request)
}

// attachFilter sets the socket's filter, or replaces it.
func attachFilter(fd int, program []instruction) error {
	raw := make([]unix.SockFilter, len(program))
	for i, s := range program {
		raw[i] = unix.SockFilter{Code: s.code, Jt: s.jt, Jf: s.jf, K: s.k}
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(&raw[0]))})
	if err != nil {
		return fmt.Errorf("setting the filter of %d instructions (SO_ATTACH_FILTER): %w", len(raw), err)
	}
	return nil
}

// bigEndian is v as the kernel wants it in a struct sockaddr_ll.
func bigEndian(v uint16) uint16 { return ne.Uint16([]byte{byte(v >> 8), byte(v)}) }

// socketError says what to do when there is no packet socket to be had.
func socketError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("opening a packet socket needs CAP_NET_RAW: run as root, or \"setcap cap_net_raw+ep PROGRAM\", or in a namespace of your own (unshare -Urn): %w", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("this kernel has no packet sockets: load the driver (modprobe af_packet): %w", err)
	}
	return fmt.Errorf("opening a packet socket: %w", err)
}
