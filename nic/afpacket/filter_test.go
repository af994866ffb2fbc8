package afpacket

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

func prefixes(s ...string) (ps []netip.Prefix) {
	for _, s := range s {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// seen is a frame as the kernel hands it to a filter.
type seen struct {
	kind uint32 // PACKET_HOST is 0
	tag  int    // of a VLAN, which is not in the bytes any more; -1: none
	data []byte
}

// run is what the kernel does with a program: a load behind the end refuses the
// frame (Documentation/networking/filter.rst).
func run(t testing.TB, program []instruction, f seen) bool {
	var a uint32
	for pc, steps := 0, 0; ; pc++ {
		steps++
		require.Less(t, steps, 5000)
		require.Less(t, pc, len(program), "it runs out of the program")
		i := program[pc]
		load := func(n uint32) (uint32, bool) {
			if uint64(i.k)+uint64(n) > uint64(len(f.data)) {
				return 0, false
			}
			var v uint32
			for _, b := range f.data[i.k : i.k+n] {
				v = v<<8 | uint32(b)
			}
			return v, true
		}
		ok := true
		switch i.code {
		case loadWord:
			switch i.k {
			case packetType:
				a = f.kind
			case vlanTagPresent:
				a = 0
				if f.tag >= 0 {
					a = 1
				}
			case vlanTag:
				a = uint32(max(0, f.tag))
			default:
				a, ok = load(4)
			}
		case loadHalf:
			a, ok = load(2)
		case loadByte:
			a, ok = load(1)
		case jump:
			pc += int(i.k)
		case jumpEqual, jumpAnySet:
			hit := a == i.k
			if i.code == jumpAnySet {
				hit = a&i.k != 0
			}
			if hit {
				pc += int(i.jt)
			} else {
				pc += int(i.jf)
			}
		case and:
			a &= i.k
		case give:
			require.True(t, i.k == 0 || i.k == wholeFrame)
			return i.k != 0
		default:
			require.Failf(t, "unknown instruction", "%+v", i)
		}
		if !ok {
			return false
		}
	}
}

// frameTo builds the beginning of a frame: what the filter may look at.
func frameTo(mac nic.MAC, etherType uint16, dst string) []byte {
	b := make([]byte, 14+40)
	copy(b, mac[:])
	binary.BigEndian.PutUint16(b[12:], etherType)
	if dst != "" {
		if a := netip.MustParseAddr(dst); a.Is4() {
			copy(b[30:], a.AsSlice())
		} else {
			copy(b[38:], a.AsSlice())
		}
	}
	return b
}

var (
	ourMAC    = nic.MAC{0x02, 0, 0, 0, 0, 0x77} // the device's, once it is open
	theirMAC  = nic.MAC{0x02, 0, 0, 0, 0, 0x01}
	broadcast = nic.MAC{255, 255, 255, 255, 255, 255}
)

func TestFilterKeepsWhatIsForTheStack(t *testing.T) {
	addrs := prefixes("10.77.0.2/24", "192.0.2.9/31", "fd77::2/64", "fd77::1:2/64", "2001:db8::77/128")
	shared, own := filter(addrs, nil), filter(addrs, &ourMAC)
	for name, c := range map[string]struct {
		f    seen
		want bool
	}{
		"ours":                    {seen{0, -1, frameTo(ourMAC, 0x0800, "10.77.0.2")}, true},
		"our second":              {seen{0, -1, frameTo(ourMAC, 0x0800, "192.0.2.9")}, true},
		"our subnet's broadcast":  {seen{1, -1, frameTo(broadcast, 0x0800, "10.77.0.255")}, true},
		"limited broadcast":       {seen{1, -1, frameTo(broadcast, 0x0800, "255.255.255.255")}, true},
		"multicast":               {seen{2, -1, frameTo(nic.MAC{1, 0, 0x5e, 0, 0, 1}, 0x0800, "224.0.0.1")}, true},
		"highest multicast":       {seen{2, -1, frameTo(nic.MAC{1, 0, 0x5e, 0, 0, 1}, 0x0800, "239.255.255.255")}, true},
		"the kernel's":            {seen{0, -1, frameTo(ourMAC, 0x0800, "10.77.0.3")}, false},
		"beside the /31":          {seen{0, -1, frameTo(ourMAC, 0x0800, "192.0.2.8")}, false},
		"no multicast any more":   {seen{0, -1, frameTo(ourMAC, 0x0800, "240.0.0.1")}, false},
		"ARP":                     {seen{1, -1, frameTo(broadcast, 0x0806, "")}, true},
		"ARP to us":               {seen{0, -1, frameTo(ourMAC, 0x0806, "")}, true},
		"ours, IPv6":              {seen{0, -1, frameTo(ourMAC, 0x86dd, "fd77::2")}, true},
		"our second, IPv6":        {seen{0, -1, frameTo(ourMAC, 0x86dd, "fd77::1:2")}, true},
		"our third, IPv6":         {seen{0, -1, frameTo(ourMAC, 0x86dd, "2001:db8::77")}, true},
		"the kernel's, IPv6":      {seen{0, -1, frameTo(ourMAC, 0x86dd, "fd77::3")}, false},
		"differs in one word":     {seen{0, -1, frameTo(ourMAC, 0x86dd, "fd77:0:1::2")}, false},
		"IPv6 multicast":          {seen{2, -1, frameTo(nic.MAC{0x33, 0x33, 0xff, 0, 0, 2}, 0x86dd, "ff02::1:ff00:2")}, true},
		"other protocol":          {seen{0, -1, frameTo(ourMAC, 0x88cc, "")}, false},
		"tag in the bytes":        {seen{0, -1, frameTo(ourMAC, 0x8100, "10.77.0.2")}, false},
		"VLAN 5":                  {seen{0, 5, frameTo(ourMAC, 0x0800, "10.77.0.2")}, false},
		"VLAN 5, ARP":             {seen{1, 0xe005, frameTo(broadcast, 0x0806, "")}, false},
		"only a priority":         {seen{0, 0xe000, frameTo(ourMAC, 0x0800, "10.77.0.2")}, true},
		"sent by this machine":    {seen{typeOutgoing, -1, frameTo(ourMAC, 0x0800, "10.77.0.2")}, false},
		"sent by this one, ARP":   {seen{typeOutgoing, -1, frameTo(broadcast, 0x0806, "")}, false},
		"empty":                   {seen{0, -1, nil}, false},
		"short, IPv4":             {seen{0, -1, frameTo(ourMAC, 0x0800, "10.77.0.2")[:33]}, false},
		"short, IPv6":             {seen{0, -1, frameTo(ourMAC, 0x86dd, "fd77::2")[:53]}, false},
		"only an Ethernet header": {seen{0, -1, frameTo(ourMAC, 0x0806, "")[:14]}, true},
	} {
		require.Equal(t, c.want, run(t, shared, c.f), "%s", name)
		if c.f.kind == 0 {
			c.f.kind = typeOtherHost // as the kernel sees a second address
		}
		require.Equal(t, c.want, run(t, own, c.f), "%s, with a MAC address of its own", name)
	}
	f := seen{typeOtherHost, -1, frameTo(theirMAC, 0x0800, "10.77.0.2")}
	require.False(t, run(t, shared, f), "another machine's, seen in promiscuous mode")
	require.False(t, run(t, own, f))
	near := ourMAC
	near[5]++
	require.False(t, run(t, own, seen{0, -1, frameTo(near, 0x0800, "10.77.0.2")}))
	require.False(t, run(t, nothing(), seen{0, -1, frameTo(ourMAC, 0x0806, "")}))
}

func TestFilterOfManyAddressesFitsTheKernel(t *testing.T) {
	var addrs []netip.Prefix
	for i := range 128 {
		addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}), 64))
	}
	require.LessOrEqual(t, len(filter(addrs, &ourMAC)), 4096, "BPF_MAXINSNS")
	for i := range addrs {
		addrs[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 24)
	}
	p := filter(addrs, nil)
	require.LessOrEqual(t, len(p), 4096)
	require.True(t, run(t, p, seen{0, -1, frameTo(ourMAC, 0x0800, "10.0.0.127")}))
	require.True(t, run(t, p, seen{2, -1, frameTo(ourMAC, 0x86dd, "ff02::1")}))
}

// FuzzFilter: a program of any addresses ends for any frame, and agrees with the
// plain statement of what is for the stack.
func FuzzFilter(f *testing.F) {
	f.Add(uint64(1), uint8(0), int16(-1), frameTo(ourMAC, 0x0800, "10.77.0.2"))
	f.Add(uint64(2), uint8(3), int16(5), frameTo(ourMAC, 0x86dd, "fd77::2"))
	f.Add(uint64(3), uint8(4), int16(0), frameTo(broadcast, 0x0806, ""))
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8, tag int16, data []byte) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var addrs []netip.Prefix
		for range rng.IntN(6) {
			if rng.IntN(2) == 0 {
				addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(rng.IntN(4))}), 24))
			} else {
				addrs = append(addrs, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x77, 15: byte(rng.IntN(4))}), 64))
			}
		}
		var own *nic.MAC
		if rng.IntN(2) == 0 {
			own = &ourMAC
		}
		got := run(t, filter(addrs, own), seen{uint32(kind), int(tag), data})
		require.Equal(t, wanted(addrs, own, seen{uint32(kind), int(tag), data}), got)
	})
}

func wanted(addrs []netip.Prefix, own *nic.MAC, f seen) bool {
	switch b := f.data; {
	case f.kind == typeOutgoing, f.tag >= 0 && f.tag&vlanID != 0, len(b) < 14:
		return false
	case own == nil && f.kind == typeOtherHost, own != nil && b[0]&1 == 0 && nic.MAC(b[:6]) != *own:
		return false
	default:
		var dst netip.Addr
		switch binary.BigEndian.Uint16(b[12:]) {
		case 0x0806:
			return true
		case 0x0800:
			if len(b) < 34 {
				return false
			}
			dst = netip.AddrFrom4([4]byte(b[30:34]))
		case 0x86dd:
			if len(b) >= 39 && b[38] == 0xff {
				return true
			}
			if len(b) < 54 {
				return false
			}
			dst = netip.AddrFrom16([16]byte(b[38:54]))
		default:
			return false
		}
		for _, a := range addrs {
			if dst == a.Addr() || dst.Is4() && a.Addr().Is4() && dst == netip.AddrFrom4([4]byte{10, 77, 0, 255}) {
				return true
			}
		}
		return dst.IsMulticast() || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
}

func TestConfigIsChecked(t *testing.T) {
	addrs := prefixes("10.77.0.2/24")
	for want, cfg := range map[string]Config{
		"no interface: name one": {Addrs: addrs},
		"15 at most":             {Interface: "a-name-too-long-0", Addrs: addrs},
		"eth0: no address":       {Interface: "eth0"},
		"room for 128":           {Interface: "eth0", Addrs: make([]netip.Prefix, 129)},
		"257 queues":             {Interface: "eth0", Addrs: addrs, Queues: 257},
		"-1 queues":              {Interface: "eth0", Addrs: addrs, Queues: -1},
		"pool of 1 ":             {Interface: "eth0", Addrs: addrs, Pool: 1},
		"buffers of 1 ":          {Interface: "eth0", Addrs: addrs, Buffer: 1},
		"multicast":              {Interface: "eth0", Addrs: addrs, MAC: nic.MAC{1}},
		"invalid Prefix":         {Interface: "eth0", Addrs: make([]netip.Prefix, 1)},
	} {
		_, err := Open(cfg)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "afpacket: ")
		require.NotContains(t, err.Error(), "\n")
	}
	cfg, err := Config{Interface: "eth0", Addrs: addrs, OwnMAC: true}.check()
	require.NoError(t, err)
	require.EqualValues(t, 2, cfg.MAC[0], "locally administered, unicast")
}
