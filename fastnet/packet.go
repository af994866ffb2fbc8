package fastnet

import (
	"fmt"
	"net"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afpacket"
)

// packetSettings are the keys of an interface of the kernel's through packet
// sockets.
var packetSettings = map[string]setting{
	"name":    {"the name of an Ethernet interface, as eth0", func(c *Config, v string) error { return setInterface(&c.Packet.Interface, v) }},
	"mac":     {"auto for a random MAC address beside the interface's, or one as 02:00:00:00:00:01", setPacketMAC},
	"queues":  {"a number from 1 to 256", func(c *Config, v string) error { return setInt(&c.Packet.Queues, v, 1, 256) }},
	"netns":   {"the path of a network namespace, as /run/netns/NAME", func(c *Config, v string) error { return setText(&c.Packet.NetNS, v) }},
	"offload": {"true or false", func(c *Config, v string) error { return setOffload(&c.Packet.NoOffload, v) }},
	"bypass":  {"true or false", func(c *Config, v string) error { return setBool(&c.Packet.QdiscBypass, v) }},
}

func setPacketMAC(c *Config, v string) error {
	if v == "auto" {
		c.Packet.OwnMAC = true
		return nil
	}
	mac, err := net.ParseMAC(v)
	if err != nil || len(mac) != len(nic.MAC{}) || mac[0]&1 != 0 {
		return fmt.Errorf("not the MAC address of a host")
	}
	c.Packet.MAC = nic.MAC(mac)
	return nil
}

// openPacket opens the interface of cfg.Packet for the network's addresses.
func (n *Network) openPacket() (nic.Device, error) {
	p := *n.cfg.Packet
	p.Addrs = n.cfg.Addresses
	dev, err := afpacket.Open(p)
	if err != nil {
		return nil, fmt.Errorf("fastnet: %w", err)
	}
	n.atClose = append(n.atClose, dev.Close)
	return dev, nil
}
