package stack

import (
	"encoding/binary"
	"time"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack/header"
)

const (
	tagLen  = 4      // what a tag puts behind the Ethernet addresses: its type, and two bytes
	vlanBit = 0x0fff // of these: the VLAN; the rest is a priority
)

// receiveTagged takes a frame with a VLAN tag, cut to what follows the tag's
// EtherType. Without a VLAN in it the tag is a mere priority, which switches and
// hosts give to frames of any network, and the frame as good as untagged (IEEE
// 802.1Q section 6.9.1). A second tag, or a VLAN, is not for us.
func (q *queue) receiveTagged(p *nic.Packet, now time.Duration) {
	b := p.Bytes()
	if len(b) < tagLen || binary.BigEndian.Uint16(b)&vlanBit != 0 {
		q.host.drop(p, DropEtherType)
		return
	}
	q.framePacket = nil // no run: its segments lie where an untagged frame has them
	p.TrimFront(tagLen)
	switch binary.BigEndian.Uint16(b[2:]) {
	case header.TypeIPv4:
		q.receiveIPv4(p, now)
	case header.TypeIPv6:
		q.receiveIPv6(p, now)
	case header.TypeARP:
		q.receiveARP(p, now)
	default:
		q.host.drop(p, DropEtherType)
	}
}
