package header

import "encoding/binary"

// TCPMinLen is the length of a TCP header without options, and TCPMaxLen the
// longest that its 4-bit data offset can state (RFC 9293 section 3.1).
const (
	TCPMinLen = 20
	TCPMaxLen = 60
)

// TCPChecksumOffset is where the checksum lies in the header, for devices
// that compute it.
const TCPChecksumOffset = 16

// TCPFlags are the control bits of a segment, as octet 13 holds them.
type TCPFlags uint8

// Control bits (RFC 9293 section 3.1; ECE and CWR: RFC 3168 section 6.1).
const (
	TCPFlagFIN TCPFlags = 1 << iota
	TCPFlagSYN
	TCPFlagRST
	TCPFlagPSH
	TCPFlagACK
	TCPFlagURG
	TCPFlagECE
	TCPFlagCWR
)

// String lists the bits in tcpdump's letters: "S", "S.", "F.", "P.", "R".
func (f TCPFlags) String() string {
	const letters = "FSRP.UEW"
	var b [8]byte
	n := 0
	for i := range len(letters) {
		if f&(1<<i) != 0 && letters[i] != '.' {
			b[n] = letters[i]
			n++
		}
	}
	if f&TCPFlagACK != 0 {
		b[n] = '.'
		n++
	}
	return string(b[:n])
}

// TCP is a view on a TCP header with its options, as ParseTCP checked it.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|          Source Port          |       Destination Port        |
//	+-------------------------------+-------------------------------+
//	|                        Sequence Number                        |
//	+---------------------------------------------------------------+
//	|                    Acknowledgment Number                      |
//	+-------+-------+---------------+-------------------------------+
//	| Offset| Rsrvd |C E U A P R S F|            Window             |
//	+-------+-------+---------------+-------------------------------+
//	|           Checksum            |         Urgent Pointer        |
//	+-------------------------------+-------------------------------+
//	|                           Options ...                         |
type TCP []byte

// ParseTCP splits b into the header with its options and the payload. It
// checks the data offset, not the checksum. The errors are ErrShort and
// ErrHeaderLen.
func ParseTCP(b []byte) (h TCP, payload []byte, err error) {
	if len(b) < TCPMinLen {
		return nil, nil, ErrShort
	}
	n := int(b[12]>>4) * 4
	if n < TCPMinLen {
		return nil, nil, ErrHeaderLen
	}
	if n > len(b) {
		return nil, nil, ErrShort
	}
	return TCP(b[:n:n]), b[n:], nil
}

// SrcPort is the sender's port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort is the receiver's port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Seq is the sequence number of the first octet, or of SYN.
func (h TCP) Seq() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// Ack is the next sequence number that the sender expects; it means
// something when the ACK bit is set.
func (h TCP) Ack() uint32 { return binary.BigEndian.Uint32(h[8:12]) }

// HeaderLen is the length of the header with its options, in bytes.
func (h TCP) HeaderLen() int { return int(h[12]>>4) * 4 }

// Flags are the control bits.
func (h TCP) Flags() TCPFlags { return TCPFlags(h[13]) }

// Window is the window field as it is on the wire, not scaled.
func (h TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:16]) }

// Checksum is the checksum field.
func (h TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:18]) }

// SetChecksum writes the checksum field.
func (h TCP) SetChecksum(sum uint16) { binary.BigEndian.PutUint16(h[16:18], sum) }

// Urgent is the urgent pointer.
func (h TCP) Urgent() uint16 { return binary.BigEndian.Uint16(h[18:20]) }

// OptionBytes are the options as they are on the wire, padding included.
func (h TCP) OptionBytes() []byte { return h[TCPMinLen:] }

// TCPFields is what TCPFields.Put writes; the checksum is left zero.
type TCPFields struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            TCPFlags
	Window           uint16 // as it goes to the wire, scaled by the caller
	Urgent           uint16
}

// Put writes the 20 octets of a header that optLen octets of options, a
// multiple of 4 that the caller writes behind it, will follow. The checksum
// field is zero.
func (f *TCPFields) Put(b []byte, optLen int) {
	_ = b[TCPMinLen-1]
	binary.BigEndian.PutUint16(b[0:2], f.SrcPort)
	binary.BigEndian.PutUint16(b[2:4], f.DstPort)
	binary.BigEndian.PutUint32(b[4:8], f.Seq)
	binary.BigEndian.PutUint32(b[8:12], f.Ack)
	b[12] = byte((TCPMinLen+optLen)/4) << 4
	b[13] = byte(f.Flags)
	binary.BigEndian.PutUint16(b[14:16], f.Window)
	binary.BigEndian.PutUint16(b[16:18], 0)
	binary.BigEndian.PutUint16(b[18:20], f.Urgent)
}
