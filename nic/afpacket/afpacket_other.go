//go:build !linux

package afpacket

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/fastnet-go/fastnet/nic"
)

// Open is for Linux only: elsewhere it returns an error that wraps
// errors.ErrUnsupported.
func Open(cfg Config) (nic.Device, error) {
	if _, err := cfg.check(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("afpacket: packet sockets need Linux, this is %s: use the wire driver, or the kernel's network: %w",
		runtime.GOOS, errors.ErrUnsupported)
}
