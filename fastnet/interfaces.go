package fastnet

import (
	"net"
	"net/netip"
	"slices"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack"
)

// firstIndex is the index, less one, of the first interface of the stack's that
// the kernel does not have: indexes of the kernel's do not get there.
const firstIndex = 1 << 30

// sharedDrivers are those of devices that are interfaces of the kernel's at the
// same time, under the same name.
var sharedDrivers = []string{"tap", "afpacket", "afxdp"}

// findIndexes finds the indexes that programs see, by the stack's less one.
func (n *Network) findIndexes() []int {
	var indexes []int
	var indexed [][]netip.Prefix
	for _, i := range n.host.Interfaces() {
		index := firstIndex + i.Index
		switch {
		case i.Loopback:
			if twin := kernelLoopback(); twin != 0 {
				index = twin
			}
		case slices.Contains(sharedDrivers, i.Device.Driver) && (n.cfg.Tap == nil || n.cfg.Tap.NetNS == "") && (n.cfg.Packet == nil || n.cfg.Packet.NetNS == ""):
			if twin, err := net.InterfaceByName(i.Device.Name); err == nil {
				index = twin.Index
			}
		}
		indexes = append(indexes, index)
		indexed = append(indexed, i.Addrs)
	}
	if n.shared != nil && len(indexes) == 1 { // another process has the interface still
		indexes = append(indexes, n.shared.kernel.State().Index)
	}
	n.ifaceAddrs.CompareAndSwap(nil, &indexed)
	return indexes
}

// kernelLoopback is the index of the kernel's loopback interface; 0 if there is
// none.
func kernelLoopback() int {
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Index
		}
	}
	return 0
}

func (n *Network) netIndexes() []int {
	n.indexOnce.Do(func() { n.indexes = n.findIndexes() })
	return n.indexes
}

// netIndex is the index that programs know an interface of the stack's by.
func (n *Network) netIndex(index int) int {
	if all := n.netIndexes(); index > 0 && index <= len(all) {
		return all[index-1]
	}
	return 0
}

// stackIndex is the opposite of netIndex. 0 is 0.
func (n *Network) stackIndex(index int) (int, bool) {
	if index == 0 {
		return 0, true
	}
	at := slices.Index(n.netIndexes(), index)
	return at + 1, at >= 0
}

// netInterface describes an interface of the stack's as package net does.
func (n *Network) netInterface(i *stack.InterfaceInfo) Interface {
	ifi := Interface{Index: n.netIndex(i.Index), MTU: i.MTU, Name: i.Name, Flags: FlagMulticast}
	if i.Loopback {
		ifi.Flags |= FlagLoopback
	} else {
		ifi.Flags |= FlagBroadcast
	}
	if i.MAC != (nic.MAC{}) && !i.Loopback {
		ifi.HardwareAddr = HardwareAddr(i.MAC[:])
	}
	if i.Up {
		ifi.Flags |= FlagUp | FlagRunning
	}
	return ifi
}

// NetInterfaces lists the network's interfaces as package net does: those of
// the stack, or in a network without one the kernel's. See function Interfaces.
func (n *Network) NetInterfaces() ([]Interface, error) {
	if n.host == nil || n.shared != nil {
		return net.Interfaces()
	}
	var all []Interface
	for _, i := range n.host.Interfaces() {
		all = append(all, n.netInterface(&i))
	}
	return all, nil
}

// InterfaceAddrs lists the addresses of the network's interfaces, as
// *net.IPNet.
func (n *Network) InterfaceAddrs() ([]Addr, error) {
	if n.host == nil || n.shared != nil {
		return net.InterfaceAddrs()
	}
	var all []Addr
	for _, i := range n.host.Interfaces() {
		for _, p := range i.Addrs {
			all = append(all, &IPNet{IP: IP(p.Addr().AsSlice()).To16(), Mask: CIDRMask(p.Bits(), p.Addr().BitLen())})
		}
	}
	return all, nil
}

// Interfaces lists the interfaces of the default network: the stack's when one
// is configured, else the kernel's.
//
// An interface of the stack's that is one of the kernel's too (a TAP device,
// and loopback) has its index; others have an index above 1<<30. The methods of
// an Interface are package net's and ask the kernel, by index: Addrs and
// MulticastAddrs know nothing of an interface that only the stack has, and of a
// TAP device they tell the addresses of the kernel's side. The addresses of the
// stack are those of InterfaceAddrs, and of Network.Interfaces by interface.
func Interfaces() ([]Interface, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "route", Net: "ip+net", Err: err}
	}
	return n.NetInterfaces()
}

// InterfaceAddrs lists the addresses of the default network's interfaces.
func InterfaceAddrs() ([]Addr, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "route", Net: "ip+net", Err: err}
	}
	return n.InterfaceAddrs()
}

// InterfaceByIndex returns the interface of Interfaces with an index.
func InterfaceByIndex(index int) (*Interface, error) {
	return findInterface(func(i *Interface) bool { return i.Index == index },
		func() (*Interface, error) { return net.InterfaceByIndex(index) }, index <= 0)
}

// InterfaceByName returns the interface of Interfaces with a name.
func InterfaceByName(name string) (*Interface, error) {
	return findInterface(func(i *Interface) bool { return i.Name == name },
		func() (*Interface, error) { return net.InterfaceByName(name) }, name == "")
}

func findInterface(is func(*Interface) bool, kernel func() (*Interface, error), invalid bool) (*Interface, error) {
	n, err := defaultNetwork()
	if err != nil {
		return nil, &OpError{Op: "route", Net: "ip+net", Err: err}
	}
	if n.host == nil || invalid {
		return kernel()
	}
	all, err := n.NetInterfaces()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if is(&all[i]) {
			return &all[i], nil
		}
	}
	return net.InterfaceByName(" ") // no interface can have the name: package net's error
}
