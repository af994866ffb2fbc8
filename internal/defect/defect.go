// Package defect names the mistakes that can be planted in this repository's
// packages, to see whether the tests notice them.
//
// A defect is an if statement at the place of the mistake:
//
//	if past && !defect.On(defect.PendingReadSleepsOn) {
//
// In an ordinary build On is the constant false, and nothing of it is left in the
// program. With the build tag "defect" it is true for the defect that the
// environment variable FASTNET_DEFECT names. The command internal/defect/plant
// runs the tests with each of them.
package defect

// Variable is the environment variable that names the defect to plant.
const Variable = "FASTNET_DEFECT"

// Name is a defect's.
type Name string

// The defects of TCP connections.
const (
	SecondCloseSucceeds  Name = "second-close-succeeds"
	CloseResets          Name = "close-resets"           // RST in the place of FIN
	LingerIgnored        Name = "linger-ignored"         // linger 0 sends FIN
	UnreadDataIsFinished Name = "unread-data-finished"   // Close with unread data sends FIN
	CloseWriteClosesBoth Name = "close-write-both"       // reading ends too
	CloseWriteIsLocal    Name = "close-write-local"      // no FIN is sent
	CloseReadIgnored     Name = "close-read-ignored"     //
	ReadersSleepOn       Name = "readers-sleep-on"       // Close does not wake them
	HalfCloseLost        Name = "half-close-lost"        // the peer's FIN is no EOF
	ResetDropsData       Name = "reset-drops-data"       // what came before a RST
	ResetIsEOF           Name = "reset-is-eof"           //
	ResetIsTold          Name = "reset-told-again"       // ECONNRESET for ever, never EPIPE
	FirstWriteFails      Name = "first-write-fails"      // after the peer's close
	ByteTwice            Name = "byte-twice"             // at the border of two segments
	PendingReadSleepsOn  Name = "pending-read-sleeps-on" // at a deadline in the past
	ReadDeadlineStays    Name = "read-deadline-stays"    // the zero time does not clear it
	WriteDeadlineIgnored Name = "write-deadline-ignored" //
	KeepAliveIgnored     Name = "keep-alive-ignored"     //
	ReadFromDropsTheRest Name = "read-from-drops-the-rest"
	BuffersTwice         Name = "buffers-twice"
)

// The defects of UDP sockets.
const (
	TruncationTooMuch   Name = "truncation-too-much" // more bytes than the buffer has
	EmptyDatagramLost   Name = "empty-datagram-lost"
	ZoneLost            Name = "zone-lost"
	SourceNil           Name = "source-nil"
	RefusalLost         Name = "refusal-lost"
	ConnectedHearsAll   Name = "connected-hears-all"
	WriteToConnected    Name = "write-to-connected" // is allowed
	MessageTooLong      Name = "message-too-long"   // is dropped in silence
	FormOfAddress       Name = "form-of-address"    // IPv4 is not mapped
	DatagramDeadlineOff Name = "datagram-deadline-off"
)

// The defects of listeners and of ports.
const (
	AcceptHangs        Name = "accept-hangs" // when the listener is closed
	AcceptDeadlineOff  Name = "accept-deadline-off"
	BacklogLeaks       Name = "backlog-leaks" // connections stay after Close
	WildcardPortShared Name = "wildcard-port-shared"
	DialledPortShared  Name = "dialled-port-shared"
	SamePortTwice      Name = "same-port-twice"
	V6OnlyIgnored      Name = "v6only-ignored"
	ReusePortIgnored   Name = "reuse-port-ignored"
	LargePortTruncated Name = "large-port-truncated"
	MergeLeaks         Name = "merge-leaks" // the kernel's connections at Close
	ControlNotCalled   Name = "control-not-called"
)

// The defects of dials and names.
const (
	ContextIgnored     Name = "context-ignored"
	TimeoutIgnored     Name = "timeout-ignored"
	CancelIgnored      Name = "cancel-ignored"
	EndedDialLeaks     Name = "ended-dial-leaks" // its connection goes on
	TypedNil           Name = "typed-nil"
	LoserLeaks         Name = "loser-leaks" // of two addresses that answer
	FallbackNever      Name = "fallback-never"
	NoResolutionDelay  Name = "no-resolution-delay" // IPv4 does not wait for IPv6's addresses
	LateFamilyLost     Name = "late-family-lost"    // whose addresses come after the dial has begun
	HintIgnored        Name = "hint-ignored"        // addresses of another family than LocalAddr's
	DeadServerAskedOn  Name = "dead-server-asked-on"
	FamilyIgnored      Name = "family-ignored" // of the network
	BindErrorIsConnect Name = "bind-error-is-connect"
)

// The defects of errors and of the rest.
const (
	SourceMissing    Name = "source-missing"    // in OpError
	AddrMissing      Name = "addr-missing"      // RemoteAddr is nil
	SyscallMissing   Name = "syscall-missing"   // the errno is bare
	TimeoutUnmarked  Name = "timeout-unmarked"  // Timeout() is false
	ClosedUnmarked   Name = "closed-unmarked"   // not net.ErrClosed
	RequireIgnored   Name = "require-ignored"   // a fallback with require=true
	FallbackUnlogged Name = "fallback-unlogged" //
)
