//go:build !(amd64 || arm64 || riscv64 || loong64)

package tap

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/fastnet-go/fastnet/nic/internal/fdbased"
)

const vhostHeader = 12

type region struct{}

func regionOf([]byte) region { return region{} }

// vhostQueue is not there on this architecture.
type vhostQueue struct{ *queue }

func newVhostQueue(d *device, index int, file *os.File) fdbased.Endpoint {
	return vhostQueue{newQueue(d, index, file)}
}

func (vhostQueue) Start() error {
	return fmt.Errorf("vhost: not on %s: leave vhost out: %w", runtime.GOARCH, errors.ErrUnsupported)
}
