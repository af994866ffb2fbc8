//go:build unix

package bubble

import (
	"time"

	"golang.org/x/sys/unix"
)

func monotonic() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}
