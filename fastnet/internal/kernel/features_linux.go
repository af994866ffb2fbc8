package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of linux/ethtool.h, and the set of strings that features are named in.
const (
	ethtoolGetStrings   = 0x1b
	ethtoolGetStringSet = 0x37
	ethtoolGetFeatures  = 0x3a
	ethtoolSetFeatures  = 0x3b

	stringsOfFeatures = 4
	stringLen         = 32
	mostFeatures      = 1024

	featuresHeader = 8  // command, number of words
	featuresGot    = 16 // of each word: available, requested, active, never changed
	featuresWanted = 8  // valid, requested
)

// aligned is n bytes that a structure of words may lie in.
func aligned(n int) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
}

// featureIndex returns the number of a feature of an interface, as ethtool -k names
// them in the kernel (rx-lro, rx-gro-hw), and of how many.
func featureIndex(name, feature string) (index, all int, err error) {
	ne := binary.NativeEndian
	set := aligned(20) // struct ethtool_sset_info with one number
	ne.PutUint32(set, ethtoolGetStringSet)
	ne.PutUint64(set[8:], 1<<stringsOfFeatures)
	if err := ethtool(name, unsafe.Pointer(&set[0])); err != nil {
		return 0, 0, err
	}
	all = int(ne.Uint32(set[16:]))
	if ne.Uint64(set[8:]) == 0 || all > mostFeatures {
		return 0, 0, unix.EOPNOTSUPP
	}
	names := aligned(12 + all*stringLen) // struct ethtool_gstrings
	ne.PutUint32(names, ethtoolGetStrings)
	ne.PutUint32(names[4:], stringsOfFeatures)
	ne.PutUint32(names[8:], uint32(all))
	if err := ethtool(name, unsafe.Pointer(&names[0])); err != nil {
		return 0, 0, err
	}
	for i := range all {
		at := 12 + i*stringLen
		if unix.ByteSliceToString(names[at:at+stringLen]) == feature {
			return i, all, nil
		}
	}
	return 0, 0, fmt.Errorf("%s has no feature %s: %w", name, feature, unix.EOPNOTSUPP)
}

// featureOn reports whether a feature is to be on: it may not be, for want of others.
func featureOn(name, feature string) (bool, error) {
	i, all, err := featureIndex(name, feature)
	if err != nil {
		return false, err
	}
	ne := binary.NativeEndian
	words := (all + 31) / 32
	b := aligned(featuresHeader + words*featuresGot)
	ne.PutUint32(b, ethtoolGetFeatures)
	ne.PutUint32(b[4:], uint32(words))
	if err := ethtool(name, unsafe.Pointer(&b[0])); err != nil {
		return false, err
	}
	requested := ne.Uint32(b[featuresHeader+i/32*featuresGot+4:])
	return requested>>(i%32)&1 != 0, nil
}

// setFeature turns one on or off.
func setFeature(name, feature string, on bool) error {
	i, all, err := featureIndex(name, feature)
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	words := (all + 31) / 32
	b := aligned(featuresHeader + words*featuresWanted)
	ne.PutUint32(b, ethtoolSetFeatures)
	ne.PutUint32(b[4:], uint32(words))
	bit := uint32(1) << (i % 32)
	at := featuresHeader + i/32*featuresWanted
	ne.PutUint32(b[at:], bit)
	if on {
		ne.PutUint32(b[at+4:], bit)
	}
	return ethtool(name, unsafe.Pointer(&b[0]))
}

// MergingFeatures are those that merge received packets, which the kernel turns off
// for good where a program is attached generically (dev_disable_lro,
// dev_disable_gro_hw).
var MergingFeatures = []string{"rx-lro", "rx-gro-hw"}

// withLowers is an interface with those under it, as a bond's ports: the kernel
// turns features off of all of them.
func withLowers(name string) []string {
	all := []string{name}
	for i := 0; i < len(all) && i < 64; i++ {
		for _, lower := range lowers(all[i]) {
			if !slices.Contains(all, lower) {
				all = append(all, lower)
			}
		}
	}
	return all
}
