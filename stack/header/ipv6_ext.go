package header

// MaxExtensions is the number of extension headers in a packet beyond which it
// is dropped (RFC 8504 section 5.3 lets a host set such a limit).
const MaxExtensions = 8

// ParamProblem is what an ICMPv6 parameter problem about a packet should say.
type ParamProblem struct {
	// Respond is false when no message may be sent: the destination is
	// multicast (RFC 4443 section 2.4 (e.3)) or the fault calls for silence.
	// The rules that depend on other things (an error about an error, the
	// source address, the rate) are the caller's.
	Respond bool
	// Code is one of the codes of ICMPv6ParamProblem.
	Code uint8
	// Pointer is the offset from the first byte of the IPv6 header.
	Pointer uint32
}

// ExtResult is what WalkIPv6 found. Offsets count from the first byte of the
// IPv6 header.
type ExtResult struct {
	// Proto is the upper-layer protocol, ProtoNoNext or an extension header
	// unknown here. With Fragment set it is the first header of the
	// fragmentable part, as the fragment header has it.
	Proto uint8
	// Payload is what follows the last header walked: the upper-layer
	// header and data, or the fragment's part of the fragmentable part.
	Payload []byte
	// Fragment is the fragment header at which the walk stopped. It is nil
	// when there is none, and when it is that of a whole packet (offset zero
	// and no more fragments), which is not to be reassembled (RFC 6946).
	Fragment IPv6Fragment
	// NextHeaderOffset is the offset of the next header field that names
	// Proto or, with Fragment set, that names the fragment header: the byte
	// to replace by the fragment header's next header when reassembling (RFC
	// 8200 section 4.5).
	NextHeaderOffset int
	// HeaderLen is the number of bytes before the upper layer or, with
	// Fragment set, before the fragment header (the per-fragment headers of
	// RFC 8200 section 4.5).
	HeaderLen int
	// RouterAlert reports a router alert option (RFC 2711), which multicast
	// listener messages need.
	RouterAlert bool
	// Problem says how to answer, after an error. Without one it is the
	// answer to send if the caller does not know Proto; ProtoNoNext is
	// known, and its payload ignored (RFC 8200 section 4.7).
	Problem ParamProblem
}

// WalkIPv6 walks the extension headers (RFC 8200 section 4) of a packet that
// ParseIPv6 returned. Hop-by-hop options are accepted only right after the IPv6
// header; destination options and routing headers anywhere. The walk ends at
// the first header that it does not know, which for the caller to recognise is
// an upper-layer protocol, or at the header of a true fragment.
//
// Errors: ErrShort, ErrOption, ErrOptionUnknown, ErrExtensionOrder,
// ErrExtensionCount, ErrRouting, ErrFragment, ErrFirstFragment. All mean that
// the packet must be discarded; Problem in the result tells whether and what
// to answer.
func WalkIPv6(h IPv6, payload []byte) (ExtResult, error) {
	respond := h[24] != 0xff
	if !isExtension(h[6]) {
		return ExtResult{Proto: h[6], Payload: payload, NextHeaderOffset: 6, HeaderLen: IPv6Len,
			Problem: ParamProblem{respond, ICMPv6UnknownHeader, 6}}, nil
	}
	w := walker{proto: h[6], field: 6, off: IPv6Len, rest: payload}
	w.res.Problem.Respond = respond
	if err := w.walk(); err != nil || w.res.Fragment != nil {
		return w.res, err
	}
	r := &w.res
	r.Proto, r.Payload, r.NextHeaderOffset, r.HeaderLen = w.proto, w.rest, w.field, w.off
	r.Problem.Code, r.Problem.Pointer = ICMPv6UnknownHeader, uint32(w.field)
	return *r, nil
}

// isExtension reports whether a header of this type is one to walk past.
func isExtension(proto uint8) bool {
	switch proto {
	case ProtoHopByHop, ProtoDestOptions, ProtoRouting, ProtoFragment:
		return true
	}
	return false
}

// walker is the position between two headers of a chain.
type walker struct {
	proto uint8 // of the header that comes next
	field int   // offset of the next header field that says so
	off   int   // offset of that header
	rest  []byte
	res   ExtResult
}

func (w *walker) walk() error {
	for n := 0; isExtension(w.proto); n++ {
		if n == MaxExtensions {
			w.res.Problem.Respond = false
			return ErrExtensionCount
		}
		var err error
		switch w.proto {
		case ProtoHopByHop:
			if w.off != IPv6Len {
				// RFC 8200 section 4: answered as an unknown header.
				return w.fail(ErrExtensionOrder, ICMPv6UnknownHeader, w.field)
			}
			err = w.options()
		case ProtoDestOptions:
			err = w.options()
		case ProtoRouting:
			err = w.routing()
		case ProtoFragment:
			err = w.fragment()
		}
		if err != nil || w.res.Fragment != nil {
			return err
		}
	}
	return nil
}

// fail records the answer to an error.
func (w *walker) fail(err error, code uint8, pointer int) error {
	w.res.Problem.Code, w.res.Problem.Pointer = code, uint32(pointer)
	return err
}

// header returns the extension header that comes next: next header, length in
// units of 8 bytes not counting the first 8, and data. A header that the
// payload cuts off has no code of its own; its length field is at fault.
func (w *walker) header() ([]byte, error) {
	if len(w.rest) < 8 {
		return nil, w.fail(ErrShort, ICMPv6BadField, w.field)
	}
	n := 8 + 8*int(w.rest[1])
	if n > len(w.rest) {
		return nil, w.fail(ErrShort, ICMPv6BadField, w.off+1)
	}
	return w.rest[:n], nil
}

// skip moves past a header of n bytes.
func (w *walker) skip(n int) {
	w.proto, w.field = w.rest[0], w.off
	w.off += n
	w.rest = w.rest[n:]
}

// options walks a hop-by-hop or destination options header (RFC 8200 section
// 4.2).
func (w *walker) options() error {
	b, err := w.header()
	if err != nil {
		return err
	}
	for i := 2; i < len(b); {
		typ := b[i]
		if typ == 0 { // Pad1 has no length
			i++
			continue
		}
		if i+1 >= len(b) {
			return w.fail(ErrOption, ICMPv6BadField, w.off+i)
		}
		n := 2 + int(b[i+1])
		if n > len(b)-i {
			return w.fail(ErrOption, ICMPv6BadField, w.off+i+1)
		}
		switch {
		case typ == 1: // PadN
		case typ == 5 && w.proto == ProtoHopByHop: // router alert, RFC 2711
			w.res.RouterAlert = true
		default:
			if err := w.unknownOption(typ, i); err != nil {
				return err
			}
		}
		i += n
	}
	w.skip(len(b))
	return nil
}

// unknownOption does what the two high bits of the option type demand.
func (w *walker) unknownOption(typ uint8, i int) error {
	switch typ >> 6 {
	case 0: // skip
		return nil
	case 1: // discard in silence
		w.res.Problem.Respond = false
	case 2: // discard and answer, even if the destination is multicast
		w.res.Problem.Respond = true
	case 3: // discard, and answer unless the destination is multicast
	}
	return w.fail(ErrOptionUnknown, ICMPv6UnknownOption, w.off+i)
}

// routing passes a routing header (RFC 8200 section 4.4) that has no segments
// left. No type is supported, type 0 as RFC 5095 demands.
func (w *walker) routing() error {
	b, err := w.header()
	if err != nil {
		return err
	}
	if b[3] != 0 {
		return w.fail(ErrRouting, ICMPv6BadField, w.off+2)
	}
	w.skip(len(b))
	return nil
}

// fragment passes the header of a packet that is whole, or stops at that of a
// fragment (RFC 8200 section 4.5).
func (w *walker) fragment() error {
	if len(w.rest) < IPv6FragmentLen {
		return w.fail(ErrShort, ICMPv6BadField, w.field)
	}
	f := IPv6Fragment(w.rest[:IPv6FragmentLen:IPv6FragmentLen])
	if f.Offset() == 0 && !f.More() {
		w.skip(IPv6FragmentLen)
		return nil
	}
	data := w.rest[IPv6FragmentLen:]
	if f.More() && len(data)%8 != 0 {
		return w.fail(ErrFragment, ICMPv6BadField, 4) // the payload length field
	}
	if w.off-IPv6Len+f.Offset()+len(data) > 65535 {
		return w.fail(ErrFragment, ICMPv6BadField, w.off+2) // the fragment offset field
	}
	if f.Offset() == 0 && !wholeChain(f.NextHeader(), data) {
		return w.fail(ErrFirstFragment, ICMPv6FirstIncomplete, 0)
	}
	r := &w.res
	r.Fragment, r.Proto, r.Payload = f, f.NextHeader(), data
	r.NextHeaderOffset, r.HeaderLen = w.field, w.off
	return nil
}

// wholeChain reports whether a first fragment's data holds all headers up to
// and including that of the upper layer (RFC 7112). What the extension headers
// in it say is checked after reassembly.
func wholeChain(proto uint8, b []byte) bool {
	for range MaxExtensions + 1 {
		switch proto {
		case ProtoHopByHop, ProtoDestOptions, ProtoRouting:
			if len(b) < 8 || len(b) < 8+8*int(b[1]) {
				return false
			}
			proto, b = b[0], b[8+8*int(b[1]):]
		case ProtoFragment:
			if len(b) < IPv6FragmentLen {
				return false
			}
			proto, b = b[0], b[IPv6FragmentLen:]
		case ProtoTCP:
			return len(b) >= 20
		case ProtoUDP:
			return len(b) >= UDPLen
		case ProtoICMPv6:
			return len(b) >= ICMPv6Len
		default:
			return true
		}
	}
	return true // too long a chain, which is found after reassembly
}
