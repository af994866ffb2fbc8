package afpacket

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/internal/link"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	h := cable(t)
	h.Ours.Shell(t, `ip address add 10.77.0.9/24 dev fnb; ip address add fd77::9/64 dev fnb nodad; ip link set lo up
		for i in $(seq 6000); do ip -6 route get fd77::9 | grep -q ^local && break; sleep 0.01; done`)
	for _, c := range []struct {
		want string
		cfg  Config
	}{
		{"afpacket: addr=10.77.0.9/24: the kernel has this address itself, and would answer too: choose another one of fnb's subnet", Config{Addrs: prefixes("10.77.0.2/24", "10.77.0.9/24")}},
		{"afpacket: addr=fd77::9/64: the kernel has this address itself", Config{Addrs: prefixes("fd77::9/64")}},
		{"afpacket: fnx: there is no such interface", Config{Interface: "fnx"}},
		{"afpacket: lo is no Ethernet interface", Config{Interface: "lo"}},
		{"afpacket: netns=/no/such/namespace: no such network namespace", Config{NetNS: "/no/such/namespace"}},
	} {
		cfg := h.config(c.cfg)
		if c.cfg.Interface != "" {
			cfg.Interface = c.cfg.Interface
		}
		if c.cfg.NetNS != "" {
			cfg.NetNS = c.cfg.NetNS
		}
		_, err := Open(cfg)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "\n")
	}
	h.Ours.Shell(t, "ip link set fnb down")
	d, err := open(h.config(Config{}))
	require.NoError(t, err, "it may come up later")
	require.False(t, d.Link().Up)
	require.NoError(t, d.Close())

	// Without the capability, on a thread that ends.
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&hdr, &caps[0])
		if err == nil {
			err = h.Ours.Enter()
		}
		if err == nil {
			caps[0].Effective &^= 1 << unix.CAP_NET_RAW
			err = unix.Capset(&hdr, &caps[0])
		}
		if err == nil {
			cfg := h.config(Config{})
			cfg.NetNS = ""
			_, err = Open(cfg)
		}
		failed <- err
	}()
	err = <-failed
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorContains(t, err, "afpacket: opening a packet socket needs CAP_NET_RAW: run as root, or \"setcap cap_net_raw+ep PROGRAM\"")
}

// asNobody is set in the environment of the process that
// TestWorksInAUserNamespaceOfAnUnprivilegedUser starts.
const asNobody = "FASTNET_TEST_AS_NOBODY"

func TestWorksInAUserNamespaceOfAnUnprivilegedUser(t *testing.T) {
	if os.Getenv(asNobody) != "" {
		unprivileged(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	netlab.NeedTools(t, "setpriv", "unshare", "ip")
	nobody := []string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "unshare", "-Urn"}
	if out, err := exec.Command("setpriv", append(nobody, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no user namespaces for unprivileged users here: %v: %s", err, out)
	}
	// A copy that nobody may run.
	dir, err := os.MkdirTemp("", "fastnet-afpacket")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, "afpacket.test")
	from, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer from.Close()
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	cmd := exec.Command("setpriv", append(nobody, program, "-test.run", "^"+t.Name()+"$", "-test.v")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asNobody+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")
}

// unprivileged is the test's other half: both ends of a cable are in this
// process's namespace, and the driver serves one of them.
func unprivileged(t *testing.T) {
	status, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	require.NotContains(t, string(status), "4294967295", "this is root's own user namespace")
	netlab.Namespace("").Shell(t, `
		ip link add fna type veth peer name fnb
		ip address add 10.77.0.1/24 dev fna
		ip link set fna up
		ip link set fnb up`)
	h := &host{t: t}
	h.open(Config{Queues: 2})
	h.Meet()
	var n *link.Socket
	n, err = link.Open()
	require.NoError(t, err)
	defer n.Close()
	kernel, err := n.Get("fna")
	require.NoError(t, err)
	require.Equal(t, kernel.MAC, h.HostMAC)
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	p := h.EchoOn(1, 5000, "from nobody", fd)
	p.Release()
	require.NotZero(t, nic.DeviceStats(h.dev).RxPackets, fmt.Sprint(h.dev.Info()))
}
