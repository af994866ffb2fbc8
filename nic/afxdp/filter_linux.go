package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
)

// Filter is what the program takes from the kernel. Every method may be called
// from any goroutine, costs a system call or a few, and takes effect for the
// next packet.
//
// Nothing is counted: adding twice is adding once, and removing what is not
// there does nothing.
type Filter struct {
	objects *steerObjects

	mu        sync.RWMutex // held for reading while only the maps are used
	closed    bool
	addresses map[netip.Addr]Mode
	ports     map[Port]struct{}
	excepted  map[steerFlowKey]struct{}
	final     FilterCounters // when it was closed
}

// Values of the maps (those of addresses are Mode's), and indices of the counters, as in bpf/steer.c.
const (
	portAny4, portAny6, portBound4, portBound6 = uint8(1), uint8(2), uint8(4), uint8(8)

	flowOurs, flowKernels = uint8(1), uint8(2)
)

const (
	countPassed = iota
	countPort
	countFlow
	countExclusive
	countICMP
	countFragment
	countFragmentEarly
	countBad
	countMapFull
	countNoSocket
)

const protoTCP, protoUDP = 6, 17

func newFilter(objects *steerObjects) *Filter {
	return &Filter{objects: objects, addresses: make(map[netip.Addr]Mode), ports: make(map[Port]struct{}), excepted: make(map[steerFlowKey]struct{})}
}

// words is an address as the keys have it: in network byte order, IPv4 in the
// first word.
func words(a netip.Addr) (w [4]uint32, family uint8) {
	if a.Is4() {
		b := a.As4()
		w[0] = binary.NativeEndian.Uint32(b[:])
		return w, 4
	}
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w, 6
}

// bigEndian is a port in network byte order.
func bigEndian(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}

func addressKey(a netip.Addr) *steerAddressKey {
	w, family := words(a)
	return &steerAddressKey{Addr: w, Family: uint32(family)}
}

// plain is a as the program knows addresses: it has no zones.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// change makes a change of the maps, unless the filter is closed.
func (f *Filter) change(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nic.ErrClosed
	}
	return do()
}

// SetAddresses sets the local addresses. An address that was there before and
// still is keeps being served throughout; of one that is in the list twice the
// Exclusive entry counts, or the first one. After an error the set is a mixture of
// the old and the new.
func (f *Filter) SetAddresses(list []Address) error {
	want := make(map[netip.Addr]Mode, len(list))
	for _, a := range list {
		addr := plain(a.Addr)
		if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
			return fmt.Errorf("afxdp: %v is no address of an interface", a.Addr)
		}
		if a.Mode > FlowsOnly {
			return fmt.Errorf("afxdp: there is no mode %d for the address %v", a.Mode, addr)
		}
		if _, twice := want[addr]; !twice || a.Mode == Exclusive {
			want[addr] = a.Mode
		}
	}
	err := f.change(func() error {
		for addr := range f.addresses {
			if _, keep := want[addr]; !keep {
				if err := remove(f.objects.Addresses, addressKey(addr)); err != nil {
					return fmt.Errorf("removing %v: %w", addr, err)
				}
				delete(f.addresses, addr)
			}
		}
		for addr, mode := range want {
			if now, there := f.addresses[addr]; there && now == mode {
				continue
			}
			if err := f.objects.Addresses.Put(addressKey(addr), uint8(mode)); err != nil {
				return fmt.Errorf("adding %v: %w", addr, full(err, f.objects.Addresses, "addresses"))
			}
			f.addresses[addr] = mode
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("afxdp: the addresses: %w", err)
	}
	return nil
}

// AddPort takes the packets for a port from the kernel.
func (f *Filter) AddPort(p Port) error {
	p, err := checkPort(p)
	if err != nil {
		return err
	}
	err = f.change(func() error {
		if _, there := f.ports[p]; there {
			return nil
		}
		if bound(p) {
			if err := f.objects.BoundPorts.Put(boundKey(p), uint8(1)); err != nil {
				return full(err, f.objects.BoundPorts, "ports")
			}
		}
		f.ports[p] = struct{}{}
		if err := f.putBits(p); err != nil {
			delete(f.ports, p)
			if bound(p) {
				_ = remove(f.objects.BoundPorts, boundKey(p))
			}
			return full(err, f.objects.PortBits, "ports")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("afxdp: adding port %d: %w", p.Port, err)
	}
	return nil
}

// RemovePort gives the packets for a port back to the kernel; those of its
// connections too, unless they are flows.
func (f *Filter) RemovePort(p Port) error {
	p, err := checkPort(p)
	if err != nil {
		return err
	}
	err = f.change(func() error {
		if _, there := f.ports[p]; !there {
			return nil
		}
		delete(f.ports, p)
		err := f.putBits(p)
		if bound(p) {
			err = errors.Join(err, remove(f.objects.BoundPorts, boundKey(p)))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("afxdp: removing port %d: %w", p.Port, err)
	}
	return nil
}

// checkPort returns p as it is kept.
func checkPort(p Port) (Port, error) {
	if p.Protocol != protoTCP && p.Protocol != protoUDP {
		return p, fmt.Errorf("afxdp: protocol %d has no ports: want 6 (TCP) or 17 (UDP)", p.Protocol)
	}
	if p.Addr.IsValid() {
		p.Addr = plain(p.Addr)
	}
	return p, nil
}

// bound reports whether a port is open on a single address.
func bound(p Port) bool { return p.Addr.IsValid() && !p.Addr.IsUnspecified() }

func boundKey(p Port) *steerBoundKey {
	w, family := words(p.Addr)
	return &steerBoundKey{Addr: w, Port: bigEndian(p.Port), Protocol: p.Protocol, Family: family}
}

// putBits enters on which kinds of addresses p's number is open. f.mu is held.
func (f *Filter) putBits(p Port) error {
	bits := uint8(0)
	for q := range f.ports {
		if q.Protocol != p.Protocol || q.Port != p.Port {
			continue
		}
		switch {
		case !q.Addr.IsValid():
			bits |= portAny4 | portAny6
		case bound(q) && q.Addr.Is4():
			bits |= portBound4
		case bound(q):
			bits |= portBound6
		case q.Addr.Is4():
			bits |= portAny4
		default:
			bits |= portAny6
		}
	}
	key := &steerPortKey{Port: bigEndian(p.Port), Protocol: p.Protocol}
	if bits == 0 {
		return remove(f.objects.PortBits, key)
	}
	return f.objects.PortBits.Put(key, bits)
}

// AddFlow takes the packets of a connection from the kernel. Its local address
// must be one of SetAddresses for that to have an effect.
func (f *Filter) AddFlow(w Flow) error {
	key, err := flowKey(w)
	if err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nic.ErrClosed
	}
	if err := f.objects.Flows.Put(key, flowOurs); err != nil {
		return fmt.Errorf("afxdp: adding the flow from %v to %v: %w", w.Remote, w.Local, full(err, f.objects.Flows, "flows"))
	}
	return nil
}

// ExceptFlow leaves the packets of a connection to the kernel although its port is
// taken: it was the kernel's before. RemoveFlow ends that. A flow of AddFlow is not
// to be one of ExceptFlow too.
func (f *Filter) ExceptFlow(w Flow) error {
	key, err := flowKey(w)
	if err != nil {
		return err
	}
	err = f.change(func() error {
		f.excepted[*key] = struct{}{}
		// The number first: without it the program takes every flow for ours.
		err := f.putExceptions()
		if err == nil {
			err = f.objects.Flows.Put(key, flowKernels)
		}
		if err != nil {
			delete(f.excepted, *key)
			return errors.Join(full(err, f.objects.Flows, "flows"), f.putExceptions())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("afxdp: excepting the flow from %v to %v: %w", w.Remote, w.Local, err)
	}
	return nil
}

// putExceptions tells the program how many there are. mu is held.
func (f *Filter) putExceptions() error {
	return f.objects.Exceptions.Put(uint32(0), uint32(len(f.excepted)))
}

// RemoveFlow gives the packets of a connection back to the kernel, or ends its
// exception.
func (f *Filter) RemoveFlow(w Flow) error {
	key, err := flowKey(w)
	if err != nil {
		return err
	}
	err = f.change(func() error {
		if err := remove(f.objects.Flows, key); err != nil {
			return err
		}
		if _, ok := f.excepted[*key]; ok {
			delete(f.excepted, *key)
			return f.putExceptions()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("afxdp: removing the flow from %v to %v: %w", w.Remote, w.Local, err)
	}
	return nil
}

func flowKey(w Flow) (*steerFlowKey, error) {
	local, remote := plain(w.Local.Addr()), plain(w.Remote.Addr())
	if !local.IsValid() || !remote.IsValid() || local.Is4() != remote.Is4() {
		return nil, fmt.Errorf("afxdp: from %v to %v is no flow: want two addresses of one family", w.Remote, w.Local)
	}
	if w.Protocol != protoTCP && w.Protocol != protoUDP {
		return nil, fmt.Errorf("afxdp: protocol %d has no flows: want 6 (TCP) or 17 (UDP)", w.Protocol)
	}
	k := &steerFlowKey{LocalPort: bigEndian(w.Local.Port()), RemotePort: bigEndian(w.Remote.Port()), Protocol: w.Protocol}
	k.Local, k.Family = words(local)
	k.Remote, _ = words(remote)
	return k, nil
}

// Counters returns what the program has counted since Open, after Close too.
func (f *Filter) Counters() FilterCounters {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return f.final
	}
	return f.count()
}

// count reads the counters of all processors.
func (f *Filter) count() FilterCounters {
	read := func(index uint32) (n uint64) {
		var each []uint64
		if f.objects.Counters.Lookup(index, &each) != nil {
			return 0
		}
		for _, c := range each {
			n += c
		}
		return n
	}
	return FilterCounters{
		Port: read(countPort), Flow: read(countFlow), Exclusive: read(countExclusive), ICMP: read(countICMP),
		Fragment: read(countFragment), MapFull: read(countMapFull), Passed: read(countPassed),
		FragmentEarly: read(countFragmentEarly), Bad: read(countBad), NoSocket: read(countNoSocket),
	}
}

// close ends the use of the maps.
func (f *Filter) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.final = f.count()
	f.closed = true
}

// remove deletes a key, which may be gone already.
func remove(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// full names the limit that was reached.
func full(err error, m *ebpf.Map, what string) error {
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("there are %d %s already, the most there is room for: %w", m.MaxEntries(), what, err)
	}
	return err
}
