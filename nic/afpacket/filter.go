package afpacket

import (
	"encoding/binary"
	"net/netip"

	"github.com/fastnet-go/fastnet/nic"
)

// instruction is a struct sock_filter of classic BPF (Linux
// Documentation/networking/filter.rst).
type instruction struct {
	code   uint16
	jt, jf uint8 // instructions to skip if the comparison is true, false
	k      uint32
}

// The codes that the filter uses: class, size or operation, mode or source.
const (
	loadWord   = 0x20 // BPF_LD|BPF_W|BPF_ABS
	loadHalf   = 0x28 // BPF_LD|BPF_H|BPF_ABS
	loadByte   = 0x30 // BPF_LD|BPF_B|BPF_ABS
	jump       = 0x05 // BPF_JMP|BPF_JA
	jumpEqual  = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	jumpAnySet = 0x45 // BPF_JMP|BPF_JSET|BPF_K
	and        = 0x54 // BPF_ALU|BPF_AND|BPF_K
	give       = 0x06 // BPF_RET|BPF_K
)

// What the kernel knows of a frame besides its bytes is read at negative
// offsets from SKF_AD_OFF (include/uapi/linux/filter.h).
const (
	metadata       = 0xfffff000 // SKF_AD_OFF
	packetType     = metadata + 4
	vlanTag        = metadata + 44
	vlanTagPresent = metadata + 48

	typeOtherHost = 3 // PACKET_OTHERHOST
	typeOutgoing  = 4 // PACKET_OUTGOING

	vlanID = 0x0fff // of a tag; 0: the tag is only a priority
)

const wholeFrame = 1 << 30 // bytes to keep: all

// nothing is the filter that refuses every frame.
func nothing() []instruction { return []instruction{{code: give, k: 0}} }

// filter returns the program that chooses what the stack receives: ARP,
// multicast, and what is for one of addrs. With a MAC address of its own it must
// be for that, else for the interface's. Frames of a VLAN are not for us: the
// kernel has taken their tag off, and they would look like others.
func filter(addrs []netip.Prefix, own *nic.MAC) []instruction {
	var p []instruction
	add := func(code uint16, k uint32, jt, jf uint8) { p = append(p, instruction{code, jt, jf, k}) }
	// ret ends the program if the comparison before is true.
	refuseIf := func(code uint16, k uint32) { add(code, k, 0, 1); add(give, 0, 0, 0) }
	acceptIf := func(code uint16, k uint32) { add(code, k, 0, 1); add(give, wholeFrame, 0, 0) }
	refuseUnless := func(code uint16, k uint32) { add(code, k, 1, 0); add(give, 0, 0, 0) }

	add(loadWord, packetType, 0, 0)
	refuseIf(jumpEqual, typeOutgoing) // where PACKET_IGNORE_OUTGOING is not there yet
	if own == nil {
		refuseIf(jumpEqual, typeOtherHost)
	} else {
		add(loadByte, 0, 0, 0)
		add(jumpAnySet, 1, 6, 0) // multicast
		add(loadWord, 0, 0, 0)
		refuseUnless(jumpEqual, binary.BigEndian.Uint32(own[:]))
		add(loadHalf, 4, 0, 0)
		refuseUnless(jumpEqual, uint32(binary.BigEndian.Uint16(own[4:])))
	}
	add(loadWord, vlanTagPresent, 0, 0)
	add(jumpEqual, 0, 3, 0)
	add(loadWord, vlanTag, 0, 0)
	refuseIf(jumpAnySet, vlanID)

	add(loadHalf, 12, 0, 0)
	acceptIf(jumpEqual, 0x0806)
	add(jumpEqual, 0x0800, 1, 0)
	far := len(p)
	add(jump, 0, 0, 0) // to what is not IPv4

	add(loadWord, 30, 0, 0) // IPv4's destination
	acceptIf(jumpEqual, 0xffffffff)
	for _, a := range addrs {
		if !a.Addr().Is4() {
			continue
		}
		ip := a.Addr().As4()
		word := binary.BigEndian.Uint32(ip[:])
		acceptIf(jumpEqual, word)
		if a.Bits() < 31 { // the subnet's broadcast address (RFC 919, RFC 3021)
			acceptIf(jumpEqual, word|(1<<(32-a.Bits())-1))
		}
	}
	add(and, 0xf0000000, 0, 0)
	acceptIf(jumpEqual, 0xe0000000) // 224.0.0.0/4
	add(give, 0, 0, 0)

	p[far].k = uint32(len(p) - far - 1)
	refuseUnless(jumpEqual, 0x86dd)
	add(loadByte, 38, 0, 0) // IPv6's destination
	acceptIf(jumpEqual, 0xff)
	for _, a := range addrs {
		if !a.Addr().Is6() {
			continue
		}
		ip := a.Addr().As16()
		for i := range uint32(4) { // each word that differs leads to the next address
			add(loadWord, 38+4*i, 0, 0)
			add(jumpEqual, binary.BigEndian.Uint32(ip[4*i:]), 0, uint8(2*(3-i)+1))
		}
		add(give, wholeFrame, 0, 0)
	}
	add(give, 0, 0, 0)
	return p
}
