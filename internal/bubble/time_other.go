//go:build !unix && !windows

package bubble

import "time"

// monotonic has no clock of the system's to ask: in a bubble its time is the
// bubble's.
func monotonic() time.Duration { return time.Since(start) }
