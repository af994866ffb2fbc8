package netstack

import (
	"io"
	"os"
	"testing"

	"gvisor.dev/gvisor/pkg/log"
)

// gVisor logs connections that a closing listener gives up; the tests judge
// what reaches the sockets instead.
func TestMain(m *testing.M) {
	log.SetTarget(&log.GoogleEmitter{Writer: &log.Writer{Next: io.Discard}})
	os.Exit(m.Run())
}
