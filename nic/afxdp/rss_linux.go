package afxdp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive side scaling, as ethtool tells it (include/uapi/linux/ethtool.h).
const (
	ethtoolGetRxFlowHash = 0x29 // ETHTOOL_GRXFH: what is hashed
	ethtoolGetRSS        = 0x46 // ETHTOOL_GRSSH: key and table

	flowTCP4, flowTCP6 = 1, 5
	hashFourTuple      = 0xf0 // RXH_IP_SRC, RXH_IP_DST, RXH_L4_B_0_1, RXH_L4_B_2_3
	hashToeplitz       = 1    // ETH_RSS_HASH_TOP

	rssHeader = 24 // of struct ethtool_rxfh, before its table and key
	maxRSS    = 1 << 16
)

// askRSS asks by which queue the driver has segments arrive, after it may have
// set up its queues anew. It keeps nothing unless they are hashed as nic.Info
// says.
func (f *face) askRSS() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for _, kind := range []uint32{flowTCP4, flowTCP6} {
		var what struct {
			cmd, kind uint32
			data      uint64
			_         [192]byte // the rest of struct ethtool_rxnfc
		}
		what.cmd, what.kind = ethtoolGetRxFlowHash, kind
		if f.ethtool(fd, unsafe.Pointer(&what)) != nil || what.data != hashFourTuple {
			return
		}
	}
	ne := binary.NativeEndian
	ask := func(entries, key uint32) []byte {
		// Words, so that the kernel's structure is aligned.
		words := make([]uint32, rssHeader/4+entries+(key+3)/4)
		b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*len(words))
		ne.PutUint32(b, ethtoolGetRSS)
		ne.PutUint32(b[8:], entries)
		ne.PutUint32(b[12:], key)
		if f.ethtool(fd, unsafe.Pointer(&words[0])) != nil {
			return nil
		}
		return b
	}
	b := ask(0, 0) // tells the sizes
	if b == nil {
		return
	}
	entries, key := ne.Uint32(b[8:]), ne.Uint32(b[12:])
	if entries == 0 || entries > maxRSS || key == 0 || key > maxRSS {
		return
	}
	f.hashKey, f.hashTable = parseRSS(ask(entries, key), f.rx)
}

// parseRSS reads a struct ethtool_rxfh with its table and key: nothing if the
// hash is not Toeplitz's, is transformed before, or leads to a queue that there is
// not.
func parseRSS(b []byte, queues int) (key []byte, table []uint16) {
	ne := binary.NativeEndian
	if len(b) < rssHeader || b[16] != hashToeplitz || b[17] != 0 {
		return nil, nil
	}
	entries, size := uint64(ne.Uint32(b[8:])), uint64(ne.Uint32(b[12:]))
	rest := b[rssHeader:]
	if entries == 0 || size < 40 || uint64(len(rest)) < 4*entries+size {
		return nil, nil
	}
	table = make([]uint16, entries)
	for i := range table {
		queue := ne.Uint32(rest[4*i:])
		if queue >= uint32(queues) {
			return nil, nil
		}
		table[i] = uint16(queue)
	}
	return append([]byte(nil), rest[4*entries:4*entries+size]...), table
}
