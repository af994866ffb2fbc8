//go:build !(amd64 || arm64 || riscv64 || loong64)

package tap

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/fastnet-go/fastnet/nic"
)

// vhost is not there on this architecture.
type vhost struct{}

const vhostHeader = 12

type region struct{}

func regionOf([]byte) region { return region{} }

func openVhost(*device, int) (*vhost, error) {
	return nil, fmt.Errorf("vhost: not on %s: leave vhost out: %w", runtime.GOARCH, errors.ErrUnsupported)
}

func (q *queue) recvVhost([]*nic.Packet) int { return 0 }
func (q *queue) sendVhost([]*nic.Packet) int { return 0 }
func (q *queue) kickVhost()                  {}
func (q *queue) armVhost() bool              { return true }
func (q *queue) waitVhost()                  {}
func (v *vhost) reclaim(*queue)              {}
func (v *vhost) stop()                       {}
func (v *vhost) held() int                   { return 0 }
