package http_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/fastnet-go/fastnet/fastnet"
)

// TestMain makes the default network a host of the stack's that reaches itself,
// and refuses to go to the kernel.
func TestMain(m *testing.M) {
	if err := fastnet.Configure(fastnet.Config{LoopbackOnly: true, Require: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
