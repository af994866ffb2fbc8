package header

// IPv4 option types (RFC 791 section 3.1, RFC 2113).
const (
	ipv4OptEnd         = 0
	ipv4OptNop         = 1
	ipv4OptRecordRoute = 7
	ipv4OptTimestamp   = 68
	ipv4OptLooseRoute  = 131
	ipv4OptStrictRoute = 137
	ipv4OptRouterAlert = 148
)

// IPv4OptionInfo tells what the options of an IPv4 header contain.
type IPv4OptionInfo struct {
	// SourceRoute: loose or strict source routing. A host may drop such
	// packets (RFC 1122 section 3.2.1.8 with RFC 7126 section 4.3).
	SourceRoute bool
	RecordRoute bool
	Timestamp   bool
	RouterAlert bool
	// Pointer is, after an error, the offset in the header of the byte at
	// fault: the pointer of an ICMP parameter problem (RFC 792).
	Pointer uint8
}

// CheckOptions walks the options (RFC 791 section 3.1). Unknown options are
// skipped (RFC 1122 section 3.2.1.8). The error is ErrOption: a length that is
// missing, below 2, too small for its option or beyond the header, or a second
// source route. It needs a header that ParseIPv4 returned.
func (h IPv4) CheckOptions() (info IPv4OptionInfo, err error) {
	opts := h.Options()
	for i := 0; i < len(opts); {
		typ := opts[i]
		if typ == ipv4OptEnd {
			break
		}
		if typ == ipv4OptNop {
			i++
			continue
		}
		if i+1 >= len(opts) {
			info.Pointer = uint8(IPv4MinLen + i)
			return info, ErrOption
		}
		n := int(opts[i+1])
		if n < 2 || n > len(opts)-i {
			info.Pointer = uint8(IPv4MinLen + i + 1)
			return info, ErrOption
		}
		if bad, ok := info.note(opts[i:i+n], typ); !ok {
			info.Pointer = uint8(IPv4MinLen + i + bad)
			return info, ErrOption
		}
		i += n
	}
	return info, nil
}

// note records a whole option and checks the layout of those it knows. If it is
// bad it returns the offset in the option of the byte at fault.
func (info *IPv4OptionInfo) note(opt []byte, typ uint8) (bad int, ok bool) {
	switch typ {
	case ipv4OptLooseRoute, ipv4OptStrictRoute, ipv4OptRecordRoute:
		if len(opt) < 3 {
			return 1, false
		}
		if opt[2] < 4 { // the pointer counts from 1 and the first slot is the fourth byte
			return 2, false
		}
		if typ == ipv4OptRecordRoute {
			info.RecordRoute = true
			return 0, true
		}
		if info.SourceRoute {
			return 0, false // RFC 1122 section 3.2.1.8 (c): at most one
		}
		info.SourceRoute = true
	case ipv4OptTimestamp:
		if len(opt) < 4 {
			return 1, false
		}
		if opt[2] < 5 {
			return 2, false
		}
		info.Timestamp = true
	case ipv4OptRouterAlert:
		if len(opt) != 4 {
			return 1, false
		}
		info.RouterAlert = true
	}
	return 0, true
}
