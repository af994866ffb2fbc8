package header

import "errors"

// Errors of the Parse functions. They are returned as they are, never
// wrapped, so they may be compared with == and cost no allocation.
var (
	// ErrShort: fewer bytes than the fixed header needs, or than its own
	// length field promises.
	ErrShort = errors.New("header: truncated")
	// ErrVersion: the IP version field is not that of the parser.
	ErrVersion = errors.New("header: wrong IP version")
	// ErrHeaderLen: a header length field below the minimum or beyond the
	// packet.
	ErrHeaderLen = errors.New("header: bad header length")
	// ErrLength: a total or payload length field that contradicts the header.
	ErrLength = errors.New("header: bad length field")
	// ErrOption: a malformed option.
	ErrOption = errors.New("header: malformed option")
	// ErrOptionUnknown: an IPv6 option whose type demands that the packet be
	// discarded by a node that does not know it (RFC 8200 section 4.2).
	ErrOptionUnknown = errors.New("header: unrecognised option demands discard")
	// ErrExtensionOrder: a hop-by-hop header that does not follow the IPv6
	// header at once (RFC 8200 section 4.1).
	ErrExtensionOrder = errors.New("header: misplaced extension header")
	// ErrExtensionCount: more extension headers than MaxExtensions.
	ErrExtensionCount = errors.New("header: too many extension headers")
	// ErrRouting: a routing header with segments left; no type is supported.
	ErrRouting = errors.New("header: unsupported routing header")
	// ErrFragment: a fragment whose length or offset is impossible.
	ErrFragment = errors.New("header: bad fragment")
	// ErrFirstFragment: a first fragment without the whole header chain
	// (RFC 8200 section 4.5, RFC 7112).
	ErrFirstFragment = errors.New("header: first fragment lacks upper-layer header")
	// ErrNDP: a neighbour discovery message that RFC 4861 section 7.1 tells
	// the receiver to discard for a reason other than its length or options.
	ErrNDP = errors.New("header: invalid neighbour discovery message")
)
