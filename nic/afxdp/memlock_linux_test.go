package afxdp

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A process that may lock less than the fewest buffers take is told what to do.
func TestTooLittleMemoryMayBeLocked(t *testing.T) {
	l := newLab(t, 1)
	const again = "FASTNET_TEST_LITTLE_MEMORY" // a process of its own: a limit is lowered for good
	if os.Getenv(again) == "" {
		c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), again+"=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}))
	var opened error
	l.with(func(caps *[2]unix.CapUserData) {
		caps[unix.CAP_IPC_LOCK/32].Effective &^= 1 << (unix.CAP_IPC_LOCK % 32)
	}, func() error {
		_, opened = Open(Config{Interface: ours})
		return nil
	})
	require.ErrorIs(t, opened, ErrUnavailable)
	require.ErrorContains(t, opened, "128 KiB of buffers are more than may be locked in memory: raise the limit (ulimit -l, LimitMEMLOCK=infinity)")
	require.NotContains(t, opened.Error(), "\n")
}
