package xdp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// needs skips a test where a tool is missing.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: %v", tool, err)
		}
	}
}

// sshServer is OpenSSH's in the server's namespace, on port 22, with keys of its own.
type sshServer struct {
	r   *rig
	dir string
}

func (r *rig) startSSH() *sshServer {
	t := r.server.t
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
			t.Skip("sshd is not installed")
		}
		sshd = "/usr/sbin/sshd"
	}
	needs(t, "ssh", "scp", "ssh-keygen")
	s := &sshServer{r, t.TempDir()}
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path(key)).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	config := fmt.Sprintf("Port 22\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"+
		"PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nMaxStartups 100\nPerSourcePenalties no\n", s.path("host"), s.path("user.pub"))
	if out, _ := exec.Command(sshd, "-t", "-o", "PerSourcePenalties=no", "-h", s.path("host"), "-f", "/dev/null").CombinedOutput(); strings.Contains(string(out), "Bad configuration option") {
		config = strings.Replace(config, "PerSourcePenalties no\n", "", 1)
	}
	require.NoError(t, os.WriteFile(s.path("config"), []byte(config), 0o600))
	// Its directory for separated privileges is in a mount namespace of its own
	// (ip-netns(8)), and goes with it.
	c := exec.Command("ip", "netns", "exec", r.server.name, "sh", "-c",
		"mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "+sshd+" -D -e -f "+s.path("config"))
	var said bytes.Buffer
	c.Stderr = &said
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("sshd said: %s", said.String())
		}
	})
	require.Eventually(t, func() bool {
		out, _ := s.command("ssh", "root@"+serverIP, "echo", "ready").Output()
		return string(out) == "ready\n"
	}, patience, 50*time.Millisecond)
	return s
}

func (s *sshServer) path(name string) string { return filepath.Join(s.dir, name) }

// command is ssh or scp in the client's namespace.
func (s *sshServer) command(name string, args ...string) *exec.Cmd {
	return s.commandIn(context.Background(), name, args...)
}

func (s *sshServer) commandIn(ctx context.Context, name string, args ...string) *exec.Cmd {
	all := []string{"netns", "exec", s.r.client.name, name, "-q", "-F", "none", "-i", s.path("user"), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=" + seconds}
	return exec.CommandContext(ctx, "ip", append(all, args...)...)
}

// beside is what goes on beside fastnet, on the same address, by the kernel: a login
// that answers, files that are copied, and a web server that is asked all the time.
type beside struct {
	t      *testing.T
	asker  *program
	stop   chan struct{}
	all    sync.WaitGroup
	cancel context.CancelFunc

	mu     sync.Mutex
	said   int // lines that came back by the login
	copied int // files
	errs   []string
}

// copiedFile is the size of the file that is copied, as fast as sparesCopy allows, in
// kbit/s, so that it takes a while.
const (
	copiedFile = 50 << 20
	sparesCopy = "80000"
)

func (r *rig) startBeside() *beside {
	t := r.server.t
	t.Helper()
	ssh := r.startSSH()
	ctx, cancel := context.WithCancel(context.Background())
	b := &beside{t: t, stop: make(chan struct{}), cancel: cancel}
	t.Cleanup(cancel)
	kernelServer := r.server.start("")
	kernelServer.must("web kernel :8081")
	b.asker = r.client.start("")
	b.asker.startLoad("kernel=http://"+serverIP+":8081/", "kernel=http://["+serverIP6+"]:8081/")

	login := ssh.commandIn(ctx, "ssh", "root@"+serverIP, "cat")
	in, err := login.StdinPipe()
	require.NoError(t, err)
	out, err := login.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, login.Start())
	b.all.Go(func() {
		defer login.Wait()
		defer in.Close()
		for i := 0; ; i++ {
			line := fmt.Sprintf("line %6d\n", i)
			back := make([]byte, len(line))
			_, err := io.WriteString(in, line)
			if err == nil {
				_, err = io.ReadFull(out, back)
			}
			if err != nil || string(back) != line {
				b.failed("the login: %q after line %d: %v", back, i, err)
				return
			}
			b.mu.Lock()
			b.said++
			b.mu.Unlock()
			select {
			case <-b.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})

	file := ssh.path("file")
	content, err := io.ReadAll(data(copiedFile))
	require.NoError(t, err)
	want := sha256.Sum256(content)
	require.NoError(t, os.WriteFile(file, content, 0o600))
	b.all.Go(func() {
		for {
			copied := ssh.path("copied")
			if out, err := ssh.commandIn(ctx, "scp", "-l", sparesCopy, file, "root@"+serverIP+":"+copied).CombinedOutput(); err != nil {
				b.failed("scp: %v: %s", err, out)
				return
			}
			got, err := os.ReadFile(copied)
			if err != nil || sha256.Sum256(got) != want {
				b.failed("the copy is not the file: %d bytes, %v", len(got), err)
				return
			}
			b.mu.Lock()
			b.copied++
			b.mu.Unlock()
			select {
			case <-b.stop:
				return
			default:
			}
		}
	})
	return b
}

func (b *beside) failed(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs = append(b.errs, fmt.Sprintf(format, args...))
}

// end stops it all, once the copy that goes on is complete: nothing of it has been
// disturbed.
func (b *beside) end() {
	b.t.Helper()
	close(b.stop)
	guard := time.AfterFunc(4*patience, b.cancel)
	b.all.Wait()
	guard.Stop()
	asked := b.asker.stopLoad()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.errs)
	require.NotZero(b.t, asked.Done["kernel"])
	require.NotZero(b.t, b.said)
	require.NotZero(b.t, b.copied)
	b.t.Logf("beside: %d pages, %d lines, %d copies", asked.Done["kernel"], b.said, b.copied)
}
