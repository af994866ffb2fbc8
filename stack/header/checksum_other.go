//go:build !amd64

package header

func checksum(b []byte, initial uint16) uint16 { return checksumGeneric(b, initial) }

func copyChecksum(dst, src []byte, initial uint16) uint16 {
	return copyChecksumGeneric(dst, src, initial)
}
