package nictest

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// The addresses of the two ends.
var (
	HostIP = netip.MustParseAddr("10.77.0.1") // the kernel's
	OurIP  = netip.MustParseAddr("10.77.0.2")
)

// UDPPartial and TCPPartial say that UDP's, or TCP's, checksum field holds the
// pseudo-header's sum.
var (
	UDPPartial = nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 6}
	TCPPartial = nic.Meta{Checksum: nic.ChecksumPartial, ChecksumStart: 34, ChecksumOffset: 16}
)

func etherType(p *nic.Packet) uint16 {
	if p.Len() < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(p.Bytes()[12:])
}

// IsIPv4 reports whether p is an IPv4 frame of a protocol to us.
func IsIPv4(p *nic.Packet, protocol byte) bool {
	b := p.Bytes()
	return etherType(p) == 0x0800 && len(b) >= 34 && b[23] == protocol && [4]byte(b[30:34]) == OurIP.As4()
}

// IsUDP reports whether p is a datagram to us.
func IsUDP(p *nic.Packet) bool { return IsIPv4(p, unix.IPPROTO_UDP) }

// Text is what a datagram says.
func Text(p *nic.Packet) string { return strings.TrimRight(string(p.Bytes()[42:]), "\x00") }

// Sum is the one's complement sum, in its plainest form.
func Sum(parts ...[]byte) uint16 {
	var s uint32
	for _, b := range parts { // of even lengths, but for the last
		for i := 0; i < len(b); i += 2 {
			s += uint32(b[i]) << 8
			if i+1 < len(b) {
				s += uint32(b[i+1])
			}
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// Pseudo is the IPv4 pseudo-header of a packet between us and the host.
func Pseudo(protocol byte, length int) []byte {
	b := append(OurIP.AsSlice(), HostIP.AsSlice()...)
	return append(b, 0, protocol, byte(length>>8), byte(length))
}

// IPv4 builds a frame from us to the host.
func (h *Host) IPv4(protocol byte, payload []byte) []byte {
	b := append(append([]byte{}, h.HostMAC[:]...), h.OurMAC[:]...)
	b = append(b, 0x08, 0x00)
	ip := make([]byte, 20)
	h.id++
	ip[0], ip[8], ip[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(ip[4:], h.id)
	copy(ip[12:], OurIP.AsSlice())
	copy(ip[16:], HostIP.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^Sum(ip))
	return append(append(b, ip...), payload...)
}

// UDP builds a datagram that is UDPPartial.
func (h *Host) UDP(from, to uint16, data string) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	binary.BigEndian.PutUint16(b[6:], Sum(Pseudo(unix.IPPROTO_UDP, 8+len(data))))
	return h.IPv4(unix.IPPROTO_UDP, append(b, data...))
}

// The flags of a segment.
const (
	syn, psh, ack = 0x02, 0x08, 0x10
)

// tcp builds a segment from us that is TCPPartial.
func (h *Host) tcp(flags byte, seq, ack uint32, options, data []byte) []byte {
	b := make([]byte, 20, 20+len(options)+len(data))
	binary.BigEndian.PutUint16(b, 5000)
	binary.BigEndian.PutUint16(b[2:], 7777)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = byte((20+len(options))/4)<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	b = append(append(b, options...), data...)
	binary.BigEndian.PutUint16(b[16:], Sum(Pseudo(unix.IPPROTO_TCP, len(b))))
	return h.IPv4(unix.IPPROTO_TCP, b)
}

// ARP builds an ARP question from us to all.
func (h *Host) ARP() []byte {
	b := append([]byte{255, 255, 255, 255, 255, 255}, h.OurMAC[:]...)
	b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
	b = append(append(b, h.OurMAC[:]...), OurIP.AsSlice()...)
	return append(append(b, make([]byte, 6)...), HostIP.AsSlice()...)
}

// Meet asks for the kernel's address by ARP, which tells it ours as well.
func (h *Host) Meet() {
	h.T.Helper()
	var p *nic.Packet
	for end := time.Now().Add(Patience); p == nil; { // again: just after a link came up the other end may miss it
		require.True(h.T, time.Now().Before(end), "no ARP reply")
		h.Send(0, nic.Meta{}, h.ARP())
		p = h.awaitFor(time.Second, func(p *nic.Packet) bool { return etherType(p) == 0x0806 && p.Bytes()[21] == 2 })
	}
	h.HostMAC = nic.MAC(p.Bytes()[22:28])
	require.Equal(h.T, HostIP.AsSlice(), p.Bytes()[28:32])
	p.Release()
}

// RequireSum checks that the checksum of what is behind a frame's IPv4 header is
// right, once it is complete.
func RequireSum(t require.TestingT, p *nic.Packet, protocol byte) {
	frame := make([]byte, p.FrameLen())
	p.CopyTo(frame, 0)
	if full, at, partial := p.CompleteChecksum(); partial {
		binary.BigEndian.PutUint16(frame[at:], full)
	}
	payload := frame[34:][:int(binary.BigEndian.Uint16(frame[16:]))-20]
	require.EqualValues(t, 0xffff, Sum(Pseudo(protocol, len(payload)), payload), "it is right when complete")
}
