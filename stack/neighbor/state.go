package neighbor

import "encoding/binary"

// State is an entry's state: those of RFC 4861 section 7.3.2, and four more.
type State uint8

const (
	// None: nobody has yet sent to the neighbour.
	None State = iota
	// Incomplete: solicitations are multicast, the address is not known.
	Incomplete
	// Reachable: confirmed within the last ReachableTime.
	Reachable
	// Stale: known, but not confirmed for a while; nothing is done until it is used.
	Stale
	// Delay: used while stale; waits for a confirmation by an upper layer.
	Delay
	// Probe: solicitations are sent to the known address.
	Probe
	// Failed: no answer; packets fail at once for a while, then the entry goes.
	Failed
	// Permanent: configured by the operator.
	Permanent
	// Dead: no longer in the cache.
	Dead
)

var stateNames = [...]string{
	"NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "PERMANENT", "DEAD",
}

// String returns the name as ip-neighbour(8) prints it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "INVALID"
}

// known reports whether an entry in this state has a link-layer address.
func (s State) known() bool {
	const set = 1<<Reachable | 1<<Stale | 1<<Delay | 1<<Probe | 1<<Permanent
	return set>>s&1 != 0
}

// word is what the data path reads of an entry, in one load: the link-layer
// address in the lower 48 bits, the state above, and whether the address is doubted.
type word uint64

const (
	stateShift      = 48
	doubted    word = 1 << 52
)

func pack(mac [6]byte, s State) word {
	var b [8]byte
	copy(b[2:], mac[:])
	return word(binary.BigEndian.Uint64(b[:])) | word(s)<<stateShift
}

func (w word) state() State { return State(w >> stateShift & 0xf) }

func (w word) mac() (mac [6]byte) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(w))
	copy(mac[:], b[2:])
	return mac
}
