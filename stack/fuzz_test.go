package stack

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
	"github.com/fastnet-go/fastnet/stack/header"
	"github.com/fastnet-go/fastnet/stack/tcp"
)

// seeds are frames of all kinds, for the fuzzer to change.
func (l *lab) seeds() [][]byte {
	from4, from6 := addrPort("10.0.0.2:5000"), addrPort("[fd00::2]:5000")
	tcp4, tcp6 := addrPort("10.0.0.1:80"), addrPort("[fd00::1]:80")
	opts := header.TCPOptions{MSS: 1460, WScale: 7, SACKPermitted: true, Timestamps: true, TSVal: 1}
	u4 := udpBytes(from4, addrPort("10.0.0.1:53"), pattern(2000))
	u6 := udpBytes(from6, addrPort("[fd00::1]:53"), pattern(2000))
	seeds := [][]byte{
		l.udp(from4, addrPort("10.0.0.1:53"), []byte("hello")),
		l.udp(from6, addrPort("[fd00::1]:53"), []byte("hello")),
		l.udp(from4, addrPort("10.0.0.1:9"), []byte("hello")),
		l.segment(from4, tcp4, tcp.Segment{Flags: syn, Seq: 1, Window: 1000, Options: opts}),
		l.segment(from6, tcp6, tcp.Segment{Flags: syn, Seq: 1, Window: 1000, Options: opts}),
		l.segment(from4, tcp4, tcp.Segment{Flags: ack | psh, Seq: 2, Ack: 1, Window: 1000, Payload: []byte("hello")}),
		l.segment(from4, tcp4, tcp.Segment{Flags: fin | ack, Seq: 2, Ack: 1}),
		l.segment(from4, tcp4, tcp.Segment{Flags: rst, Seq: 2}),
		l.icmp(ip4Peer, ip4Host, header.ICMPv4Echo, 0, 1, []byte("x")),
		l.icmp(ip6Peer, ip6Host, header.ICMPv6Echo, 0, 1, []byte("x")),
		l.arp(header.ARPRequest, l.peer, ip4Peer, [6]byte{}, ip4Host),
		l.arp(header.ARPReply, l.peer, ip4Peer, l.mac, ip4Host),
		l.solicitation(ip6Peer, ip6Host, 255, &l.peer),
		l.advertisement(ip6Peer, ip6Host, header.NDPSolicited, &l.peer),
		extended(l.udp(from6, addrPort("[fd00::1]:53"), nil), header.ProtoDestOptions, 0x81, 4, 0, 0, 0, 0),
		extended(l.udp(from6, addrPort("[fd00::1]:53"), nil), header.ProtoHopByHop, 5, 2, 0, 0, 0, 0),
	}
	seeds = append(seeds, l.fragments4(header.ProtoUDP, 1, u4, 1000)...)
	seeds = append(seeds, l.fragments6(header.ProtoUDP, 1, u6, 1000)...)
	about := l.segment(addrPort("10.0.0.1:80"), from4, tcp.Segment{Flags: ack, Seq: 1})[header.EthernetLen:]
	seeds = append(seeds, l.icmp(ip4Peer, ip4Host, header.ICMPv4Unreachable, header.ICMPv4FragNeeded, 600, about),
		l.icmp(ip4Peer, ip4Host, header.ICMPv4Unreachable, header.ICMPv4PortUnreachable, 0, about))
	return seeds
}

// join makes the fuzzer's input of frames: each with its length before it.
func join(frames ...[]byte) []byte {
	var b []byte
	for _, f := range frames {
		b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
		b = append(b, f...)
	}
	return b
}

// aim makes a mutated frame more likely to get far: to the host's MAC, with the
// right checksums, and, where it is of a connection that there is, with sequence
// numbers near to those that count. how says which of these.
func (l *lab) aim(b []byte, how byte, conns []*labConn) {
	if len(b) < header.EthernetLen || how&1 == 0 {
		return
	}
	copy(b, l.mac[:])
	var payload []byte
	var src, dst netip.Addr
	var proto uint8
	switch header.Ethernet(b).Type() {
	case header.TypeIPv4:
		ip, p, err := header.ParseIPv4(b[header.EthernetLen:])
		if err != nil {
			return
		}
		if how&2 != 0 {
			ip.SetDst(ip4Host.As4())
			ip.SetSrc(ip4Peer.As4())
		}
		ip.UpdateChecksum()
		payload, src, dst, proto = p, ip.SrcAddr(), ip.DstAddr(), ip.Protocol()
	case header.TypeIPv6:
		ip, p, err := header.ParseIPv6(b[header.EthernetLen:])
		if err != nil {
			return
		}
		if how&2 != 0 {
			ip.SetDst(ip6Host.As16())
			ip.SetSrc(ip6Peer.As16())
		}
		payload, src, dst, proto = p, ip.SrcAddr(), ip.DstAddr(), ip.NextHeader()
	default:
		return
	}
	sum := pseudoSum(src, dst, proto, len(payload))
	switch {
	case proto == header.ProtoTCP && len(payload) >= header.TCPMinLen:
		if how&4 != 0 && len(conns) > 0 {
			c := conns[int(how>>3)%len(conns)]
			binary.BigEndian.PutUint16(payload, c.local.Port())
			binary.BigEndian.PutUint16(payload[2:], c.remote.Port())
			binary.BigEndian.PutUint32(payload[4:], uint32(c.snd)+uint32(int8(payload[7])))
			binary.BigEndian.PutUint32(payload[8:], uint32(c.rcv)+uint32(int8(payload[11])))
		}
		header.TCP(payload).SetChecksum(0)
		header.TCP(payload).SetChecksum(^header.Checksum(payload, sum))
	case proto == header.ProtoUDP && len(payload) >= header.UDPLen:
		payload[6], payload[7] = 0, 0
		s := ^header.Checksum(payload, sum)
		binary.BigEndian.PutUint16(payload[6:], s)
	case proto == header.ProtoICMP && len(payload) >= header.ICMPv4Len:
		payload[2], payload[3] = 0, 0
		binary.BigEndian.PutUint16(payload[2:], ^header.Checksum(payload, 0))
	case proto == header.ProtoICMPv6 && len(payload) >= header.ICMPv6Len:
		payload[2], payload[3] = 0, 0
		binary.BigEndian.PutUint16(payload[2:], ^header.Checksum(payload, sum))
	}
}

// FuzzFrame gives a host with open sockets a sequence of frames, whatever their
// bytes, with time passing between them. It must not panic, must not come to
// hold more than its limits, and must give everything back in the end.
func FuzzFrame(f *testing.F) {
	l := newLab(f, wire.Config{})
	seeds := l.seeds()
	for _, s := range seeds {
		f.Add(join(s), uint64(0x0707070707070707))
		f.Add(join(s), uint64(0))
	}
	f.Add(join(seeds...), uint64(0x0f07031f07010503))
	f.Add(join(seeds[3], seeds[5], seeds[5], seeds[6], seeds[7], seeds[3]), uint64(0x0707070707070707))
	f.Fuzz(func(t *testing.T, input []byte, how uint64) {
		l := newLab(t, wire.Config{})
		ln := l.listen("[::]:80")
		conns := []*labConn{l.accept(ln, addrPort("10.0.0.2:5000")), l.accept(ln, addrPort("[fd00::2]:5000")), l.dial(addrPort("10.0.0.2:7"), TCPOptions{})}
		u, err := l.host.ListenUDP(addrPort("[::]:53"), UDPOptions{})
		require.NoError(t, err)
		v, err := l.host.DialUDP(addrPort("10.0.0.1:54"), addrPort("10.0.0.2:5000"), UDPOptions{})
		require.NoError(t, err)
		l.mute = how&0x80 != 0
		buf := make([]byte, 4000)
		for i := 0; len(input) >= 2 && i < 200; i++ {
			n := min(int(binary.BigEndian.Uint16(input)), len(input)-2, 1514)
			b := append([]byte(nil), input[2:2+n]...)
			input = input[2+n:]
			h := byte(how >> (i % 8 * 8))
			l.aim(b, h, conns)
			l.inject(b)
			if h&0x10 != 0 {
				continue // burst
			}
			l.run()
			l.frames = nil
			switch h >> 5 {
			case 1:
				conns[i%3].conn.TryWrite(buf)
			case 2:
				conns[i%3].conn.TryRead(buf)
			case 3:
				u.TryReadFrom(buf)
				v.Write(buf[:100])
			case 4:
				l.now += time.Duration(i) * 50 * time.Millisecond
			case 5:
				conns[i%3].conn.Close()
			case 6:
				conns[i%3].conn.CloseWrite()
			}
		}
		l.run()
		require.LessOrEqual(t, l.host.flows.len(), 300)
		require.LessOrEqual(t, l.iface.neighbors.Len(), 300)
		for _, c := range conns {
			c.conn.Close()
		}
		l.frames = nil
		l.mute = false
	})
}
