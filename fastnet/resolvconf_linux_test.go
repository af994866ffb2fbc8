package fastnet

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// resolvConfEnv holds the options with which a test runs once more, in a process
// that has an /etc/resolv.conf and an /etc/hosts of its own.
const resolvConfEnv = "FASTNET_TEST_RESOLV_CONF_OPTIONS"

// withResolvConf runs the test t in a process of its own, in a mount namespace
// where the two files are a test's: true means that this is that process. The Go
// resolver reads them once, so no other test must have.
func withResolvConf(t *testing.T, options string) bool {
	if now, set := os.LookupEnv(resolvConfEnv); set {
		return now == options
	}
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace needs root")
	}
	dir := t.TempDir()
	script := "set -e\nmount --make-rprivate /\n"
	for name, text := range map[string]string{
		"resolv.conf": "nameserver 192.0.2.1\nsearch other.example fastnet.test\noptions ndots:2 " + options + "\n",
		"hosts":       "10.9.8.7 pinned.fastnet.test pinned\n",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		script += "mount --bind " + path + " /etc/" + name + "\n"
	}
	cmd := exec.Command("/bin/sh", "-c", script+`exec "$0" "$@"`, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), resolvConfEnv+"="+options)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "mount: ") {
		t.Skipf("no mounts here: %s", out)
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// slowServer answers each query when another has come, too, or after a while, and
// counts those that came while another was unanswered.
func slowServer(t *testing.T, n *Network, while time.Duration) (overlapped func() int) {
	s := &testServer{}
	c, err := n.ListenUDP("udp", &UDPAddr{Port: 53})
	require.NoError(t, err)
	count, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		type query struct {
			b    []byte
			from netip.AddrPort
		}
		var waiting []query
		for b := make([]byte, 4096); ; {
			deadline := never
			if len(waiting) > 0 {
				deadline = time.Now().Add(while)
			}
			c.SetReadDeadline(deadline)
			k, from, err := c.ReadFromUDPAddrPort(b)
			switch {
			case err == nil:
				waiting = append(waiting, query{append([]byte(nil), b[:k]...), from})
				if len(waiting) == 1 {
					continue
				}
				count++
			case !os.IsTimeout(err):
				return
			}
			for _, q := range waiting {
				c.WriteToUDPAddrPort(s.answer(q.b, false), q.from)
			}
			waiting = nil
		}
	}()
	return func() int { c.Close(); <-done; return count }
}

// TestNamesByResolvConf: search domains, /etc/hosts, and queries for A and AAAA at
// the same time.
func TestNamesByResolvConf(t *testing.T) {
	if !withResolvConf(t, "") {
		return
	}
	l := newLab(t, labConfig{change: func(c *Config) { c.DNS = []netip.AddrPort{netip.MustParseAddrPort(serverIP + ":53")} }})
	overlapped := slowServer(t, l.server, 3*time.Second) // the resolver waits for 5 s
	r := l.client.Resolver()
	for _, name := range []string{"pinned", "pinned.fastnet.test"} {
		hosts, err := r.LookupHost(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, []string{"10.9.8.7"}, hosts, "of /etc/hosts")
	}
	names, err := r.LookupAddr(t.Context(), "10.9.8.7")
	require.NoError(t, err)
	require.Equal(t, []string{"pinned.fastnet.test.", "pinned"}, names)
	hosts, err := r.LookupHost(t.Context(), "www")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{serverIP, serverIP6}, hosts, "of the second search domain")
	require.NotZero(t, overlapped())

	ln, err := l.server.Listen("tcp", ":80")
	require.NoError(t, err)
	defer ln.Close()
	newTestServer(t, l.server)
	c, err := l.client.Dial("tcp", "www:80")
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// TestSingleRequest: the second query follows the answer to the first.
func TestSingleRequest(t *testing.T) {
	if !withResolvConf(t, "single-request") {
		return
	}
	l := newLab(t, labConfig{change: func(c *Config) { c.DNS = []netip.AddrPort{netip.MustParseAddrPort(serverIP + ":53")} }})
	overlapped := slowServer(t, l.server, 100*time.Millisecond)
	hosts, err := l.client.Resolver().LookupHost(t.Context(), "www")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{serverIP, serverIP6}, hosts)
	require.Zero(t, overlapped())
}

// TestUseVC: over TCP from the first.
func TestUseVC(t *testing.T) {
	if !withResolvConf(t, "use-vc") {
		return
	}
	l, s := named(t, serverIP+":53")
	hosts, err := l.client.Resolver().LookupHost(t.Context(), "www")
	require.NoError(t, err)
	require.Len(t, hosts, 2)
	require.NotZero(t, s.overTCP.Load())
	require.Equal(t, s.overTCP.Load(), s.asked.Load())
}
