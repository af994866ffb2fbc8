package kernel

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// The test binary is also the program that TestConfigurationErrors and
// TestProgram run: a server as a user of fastnet would write it.
const programVariable = "FASTNET_TEST_LISTEN"

func TestMain(m *testing.M) {
	if address := os.Getenv(programVariable); address != "" {
		if err := program(strings.Fields(address)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program serves a page on each of the addresses until it is killed.
func program(addresses []string) error {
	failed := make(chan error)
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return err
		}
		fmt.Println("listening on", l.Addr())
		go func() {
			failed <- http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "hello "+r.RemoteAddr)
			}))
		}()
	}
	return <-failed
}

// command is the program, to be started with ns.do.
func command(ctx context.Context, config, listen string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{"FASTNET=" + config, programVariable + "=" + listen}
	cmd.Dir = "/"
	return cmd
}

// What is wrong with the configuration is said in one line, which names the key
// or the interface, and what to do.
func TestConfigurationErrors(t *testing.T) {
	ns := newNamespace(t)
	taken := newRig(t, plain[0]) // has fast0 open, in its own namespace
	missing := t.TempDir() + "/none.toml"
	wrong := t.TempDir() + "/wrong.toml"
	require.NoError(t, os.WriteFile(wrong, []byte("device = \"tap\"\naddr = [\"10.77.0.2/24\"]\nqueue = 3\n"), 0o600))
	const good = "tap:name=fast9,addr=10.77.0.2/24,host=10.77.0.1/24"
	refused := []string{"/dev/net/tun is not permitted", "run as root"}
	if tun, err := os.Stat("/dev/net/tun"); err == nil && tun.Mode().Perm()&0o006 == 0o006 {
		refused = []string{"name=fast9", "CAP_NET_ADMIN", "run as root"} // anybody may open it
	}
	for _, c := range []struct {
		name, config string
		in           *namespace
		listen       string
		nobody       bool
		want         []string
	}{
		{name: "no device", config: "fast0", want: []string{`"fast0" names no device`, "write tap:name="}},
		{name: "unknown device", config: "tun:name=fast0", want: []string{`unknown device "tun"`, "use tap"}},
		{name: "unknown key", config: "tap:name=fast0,adr=10.77.0.2/24", want: []string{`unknown key "adr"`, "takes addr,"}},
		{name: "no address", config: "tap:name=fast0", want: []string{"no address", "write addr=10.77.0.2/24"}},
		{name: "no prefix length", config: "tap:addr=10.77.0.2", want: []string{"addr=10.77.0.2", "no prefix length", "write an address with its prefix length"}},
		{name: "not a number", config: good + ",queues=many", want: []string{"queues=many", "a number from 1 to 256"}},
		{name: "a value too large", config: good + ",mtu=100000", want: []string{"mtu=100000", "1280 to 65535"}},
		{name: "gateway elsewhere", config: good + ",gw=192.0.2.1", want: []string{"gw=192.0.2.1", "give the interface an address there"}},
		{name: "an address of many", config: "tap:addr=224.0.0.1/4", want: []string{"addr 224.0.0.1/4", "give it one of its subnet"}},
		{name: "the file is missing", config: missing, want: []string{missing, "check the path in FASTNET"}},
		{name: "a wrong key in the file", config: wrong, want: []string{wrong, `unknown key "queue"`}},
		{name: "no such namespace", config: good + ",netns=/run/netns/none", want: []string{"netns=/run/netns/none", "no such network namespace"}},
		{name: "a capture that cannot be written", config: good + ",pcap=/no/such/folder/x.pcapng", want: []string{"pcap=/no/such/folder/x.pcapng", "name a file that can be written"}},
		{name: "the interface is taken", config: good[:len("tap:name=fast")] + "0,addr=10.77.0.2/24", in: taken.ns, want: []string{"name=fast0", "in use", "choose another name"}},
		{name: "the interface is no TAP", config: "tap:name=lo,addr=10.77.0.2/24", want: []string{"name=lo", "choose another name"}},
		{name: "no permission", config: good, nobody: true, want: refused},
		{name: "the kernel has the address", config: "tap:name=fast9,addr=10.77.0.1/24,host=10.77.0.1/24", want: []string{"addr=10.77.0.1/24", "choose another one"}},
		{name: "the port is in use", config: good, listen: "10.77.0.2:80 10.77.0.2:80", want: []string{"listen tcp 10.77.0.2:80: bind: address already in use"}},
		{name: "nobody's address", config: good, listen: "10.77.0.3:80", want: []string{"listen tcp 10.77.0.3:80: bind: cannot assign requested address"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if c.listen == "" {
				c.listen = "10.77.0.2:80"
			}
			if c.in == nil {
				c.in = ns
			}
			var stdout, stderr strings.Builder
			cmd := command(ctx, c.config, c.listen)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if c.nobody {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			require.NoError(t, c.in.do(cmd.Start))
			err := cmd.Wait()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, 1, exit.ExitCode(), stderr.String())
			text := strings.TrimSuffix(stderr.String(), "\n")
			t.Log(text)
			require.NotContains(t, text, "\n", "one line")
			for _, want := range c.want {
				require.Contains(t, text, want)
			}
		})
	}
}

// A program that FASTNET configures serves the kernel's clients through the
// interface, and by loopback through the kernel. Killed, it leaves nothing.
func TestProgram(t *testing.T) {
	for _, offload := range []string{"true", "false"} {
		t.Run("offload="+offload, func(t *testing.T) {
			ns := newNamespace(t)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			config := "tap:fast9,addr=10.77.0.2/24,addr=fd77::2/64,host=10.77.0.1/24,host=fd77::1/64,gw=10.77.0.1,offload=" + offload
			cmd := command(ctx, config, ":8080 10.77.0.2:8081")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, ns.do(cmd.Start))
			lines := bufio.NewScanner(stdout)
			for range 2 {
				require.True(t, lines.Scan(), "%v", &stderr)
				require.Contains(t, lines.Text(), "listening on ")
			}
			kernel := &kernelEnd{ns: ns}
			transport := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return kernel.dial(ctx, netip.MustParseAddrPort(address))
			}}
			client := http.Client{Transport: transport, Timeout: patience}
			for _, c := range [][2]string{
				{"10.77.0.2:8080", "hello 10.77.0.1:"}, {"[fd77::2]:8080", "hello [fd77::1]:"}, {"10.77.0.2:8081", "hello 10.77.0.1:"},
				{"127.0.0.1:8080", "hello 127.0.0.1:"}, {"[::1]:8080", "hello [::1]:"},
			} {
				answer, err := client.Get("http://" + c[0])
				require.NoError(t, err)
				require.Contains(t, readAll(t, answer), c[1])
			}
			transport.CloseIdleConnections()
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			require.Empty(t, stderr.String())
			require.Eventually(t, func() bool { return !ns.hasLink("fast9") }, patience, time.Millisecond, "the interface is left")
		})
	}
}
