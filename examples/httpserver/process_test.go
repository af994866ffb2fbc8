//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process starts the server as a process of its own.
func process(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *output) {
	t.Helper()
	stdout, stderr = new(output), new(output)
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "HTTPSERVER_TEST_MAIN=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, stdout, stderr
}

// wait waits for the end of a process.
func wait(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	return cmd.ProcessState
}

func TestInterruptShutsDown(t *testing.T) {
	cmd, stdout, stderr := process(t, "-port", "0")
	client := &http.Client{Transport: new(http.Transport), Timeout: patience}
	get(t, client, stdout.url(t)+"hello") // its connection stays open, idle
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 0, wait(t, cmd).ExitCode(), stderr)
	require.Contains(t, stdout.String(), "shutting down")
	require.Empty(t, stderr.String())
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	cmd, stdout, _ := process(t, "-port", "0")
	// An answer that nobody reads keeps the first one waiting.
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(stdout.url(t), "http://"), "/"))
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("GET /bytes?n=1000000000 HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Eventually(t, func() bool { return strings.Contains(stdout.String(), "shutting down") }, patience, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	state := wait(t, cmd).Sys().(syscall.WaitStatus)
	require.True(t, state.Signaled() && state.Signal() == syscall.SIGINT, "%v", cmd.ProcessState)
}

func TestAPortInUseIsOneClearLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	cmd, stdout, stderr := process(t, "-port", port)
	require.Equal(t, 1, wait(t, cmd).ExitCode())
	require.Empty(t, stdout.String())
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr)
	require.Contains(t, stderr.String(), "127.0.0.1:"+port)
	require.Contains(t, stderr.String(), "make run PORT=N")
}

func TestALossyWireAndItsCapture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.pcapng")
	cmd, stdout, stderr := process(t, "-port", "0", "-drop-chance", "0.02", "-pcap", file)
	client := &http.Client{Transport: new(http.Transport), Timeout: patience}
	_, body := get(t, client, stdout.url(t)+"bytes?n=1000000")
	require.Len(t, body, 1000000)
	client.CloseIdleConnections()
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 0, wait(t, cmd).ExitCode(), stderr)
	capture, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Greater(t, len(capture), 1000000)
}
