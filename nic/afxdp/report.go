package afxdp

import (
	"fmt"
	"strings"

	"github.com/fastnet-go/fastnet/nic"
)

// Choice is what was chosen, or will be, and why.
type Choice struct {
	Value  string
	Reason string
}

func (c Choice) String() string {
	if c.Reason == "" {
		return c.Value
	}
	return c.Value + " (" + c.Reason + ")"
}

// Report says how an interface is used, or will be.
type Report struct {
	Interface string
	Index     int
	Driver    string // the kernel's, as ethtool -i has it; empty if it does not tell
	MAC       nic.MAC
	MTU       int
	Up        bool // with a carrier

	RxQueues, TxQueues int // the interface's
	Queues             int // that are served

	Attach     Choice // native, generic
	Copy       Choice // zero copy, copy
	Frames     Choice // one buffer a packet, or several (multi-buffer)
	Memory     Choice // pages of 4 KiB, of 2 MiB
	NeedWakeup Choice // yes, no
	BusyPoll   Choice // off, on
	TxChecksum Choice // software, device, kernel
	Segments   Choice // who cuts what is larger than the MTU: software, kernel

	// Effects is what attaching does to the interface and to others that use
	// it: one sentence each.
	Effects []string
	// Obstacles is what makes Open fail: one sentence each, with what to do.
	Obstacles []string
}

// String is the report in lines of text.
func (r Report) String() string {
	var b strings.Builder
	state := "down"
	if r.Up {
		state = "up"
	}
	fmt.Fprintf(&b, "%s: driver %s, MTU %d, %s, %d of %d receive queues", r.Interface, orUnknown(r.Driver), r.MTU, state, r.Queues, r.RxQueues)
	for _, c := range []struct {
		what string
		Choice
	}{
		{"attach", r.Attach}, {"copy", r.Copy}, {"frames", r.Frames}, {"memory", r.Memory},
		{"need-wakeup", r.NeedWakeup}, {"busy polling", r.BusyPoll}, {"transmit checksums", r.TxChecksum}, {"segmentation", r.Segments},
	} {
		fmt.Fprintf(&b, "\n  %s: %v", c.what, c.Choice)
	}
	for _, s := range r.Effects {
		fmt.Fprintf(&b, "\n  effect: %s", s)
	}
	for _, s := range r.Obstacles {
		fmt.Fprintf(&b, "\n  obstacle: %s", s)
	}
	return b.String()
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
