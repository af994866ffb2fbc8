package header

func init() {
	if !hasAVX2 {
		return
	}
	short := func(n int) bool { return n < 32 }
	sums = append(sums, checksumImpl{
		name: "avx2",
		sum: func(b []byte, initial uint16) uint16 {
			if short(len(b)) {
				return checksumGeneric(b, initial)
			}
			return checksumAVX2(b, initial)
		},
		copy: func(dst, src []byte, initial uint16) uint16 {
			if short(len(src)) {
				return copyChecksumGeneric(dst, src, initial)
			}
			return copyChecksumAVX2(dst, src, initial)
		},
	})
}
