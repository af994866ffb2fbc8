package xdp

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The kernel's own clients use servers of every kind on an address where sshd and a
// server of the kernel's go on undisturbed, and the kernel sees no packet of the ports
// that are taken.
func TestTheKernelsClients(t *testing.T) {
	needs(t, "ethtool", "nft", "wrk", "h2load", "iperf3", "dig", "nmap", "hping3")
	for _, checksums := range []string{"off", "on"} {
		t.Run("transmit checksums "+checksums, func(t *testing.T) {
			r := newRig(t)
			for _, ns := range []*namespace{r.server, r.client} {
				ns.run("ethtool", "-K", "eth0", "tx", checksums)
			}
			const ports = "{ 8080, 8443, 7000, 5201, 5300, 53 }"
			r.server.count("tcp", ports)
			r.server.count("udp", ports)
			around := r.startBeside()
			p := r.server.start("xdp:eth0,require=true")
			for _, command := range []string{"web a :8080", "web b :8443 tls", "echo c :7000", "iperf d :5201", "names e :53", "echoudp f :5300"} {
				p.must("%s", command)
			}
			passive := p.stats().TCP.PassiveOpens
			for _, host := range []string{serverIP, "[" + serverIP6 + "]"} {
				r.useClients(t, host)
				opened := p.stats().TCP.PassiveOpens
				require.Greater(t, opened, passive+20, "the connections were not the stack's")
				passive = opened
			}
			r.useScanners(t, p)

			// The kernel on the server's side knows nothing of it all: no packet in,
			// none out, no RST, nothing to a port that is not there.
			for _, protocol := range []string{"tcp", "udp"} {
				for _, way := range []string{"in", "out"} {
					require.Contains(t, r.server.run("nft", "list", "counter", "inet", "proof", protocol+way), "packets 0 bytes 0", protocol+way)
				}
			}
			require.Equal(t, "0", r.server.counter("Udp", "InDatagrams"))
			require.Equal(t, "0", r.server.counter("Udp", "NoPorts"))
			f := p.device().Filter
			require.NotZero(t, f.Port)
			require.NotZero(t, f.Passed)
			require.NotZero(t, f.Fragment)
			require.Zero(t, f.NoSocket, "%+v", f)
			require.Zero(t, f.MapFull, "%+v", f)
			require.Empty(t, p.stats().Fallbacks)

			// localhost reaches the same listeners.
			for _, url := range []string{"http://127.0.0.1:8080/", "http://[::1]:8080/", "http://" + serverIP + ":8080/"} {
				require.Contains(t, r.server.curl(url), fmt.Sprint("from ", p.cmd.Process.Pid))
			}
			// A port closed again goes back to the kernel, whose packets are seen now.
			p.must("close a")
			other := r.server.start("")
			other.must("web a :8080")
			require.Contains(t, r.client.curl("http://"+serverIP+":8080/"), fmt.Sprint("from ", other.cmd.Process.Pid))
			require.NotContains(t, r.server.run("nft", "list", "counter", "inet", "proof", "tcpin"), "packets 0 bytes 0")
			around.end()
			p.exit()
			require.False(t, r.xdpAttached())
		})
	}
}

// count has the kernel's firewall count what comes to ports by the interface and leaves
// from them, before anything else of the kernel's sees it.
func (ns *namespace) count(protocol, ports string) {
	ns.t.Helper()
	for _, command := range []string{
		"add table inet proof",
		"add counter inet proof " + protocol + "in", "add counter inet proof " + protocol + "out",
		"add chain inet proof in { type filter hook prerouting priority -500 ; }",
		"add chain inet proof out { type filter hook output priority -500 ; }",
		"add rule inet proof in iifname eth0 " + protocol + " dport " + ports + " counter name " + protocol + "in",
		"add rule inet proof out oifname eth0 " + protocol + " sport " + ports + " counter name " + protocol + "out",
	} {
		ns.run("nft", command)
	}
}

// useClients has each client reach its server at an address.
func (r *rig) useClients(t *testing.T, host string) {
	const mib = 16 << 20
	bare := strings.Trim(host, "[]")
	web, secure := "http://"+host+":8080", "https://"+host+":8443"

	// curl: down, up, by HTTP/1 and both kinds of HTTP/2.
	for _, how := range [][]string{{web}, {web, "--http2-prior-knowledge"}, {secure, "-k", "--http2"}} {
		args := append([]string{"-s", "-S", "-g", "-f", "--max-time", seconds}, how[1:]...)
		file := filepath.Join(t.TempDir(), "data")
		r.client.run("curl", append(args, "-o", file, fmt.Sprintf("%s/data/%d", how[0], mib))...)
		f, err := os.Open(file)
		require.NoError(t, err)
		require.NoError(t, same(f, data(mib)), "%v", how)
		f.Close()
		require.Equal(t, sumOf(mib), r.client.run("curl", append(args, "--data-binary", "@"+file, how[0]+"/sum")...), "%v", how)
	}

	// On a machine that is busy a second may pass without a request.
	for answered, d := false, 1; !answered; d *= 4 {
		require.Less(t, d, 100, "nobody answers wrk")
		out := r.client.run("wrk", "-t1", "-c32", fmt.Sprintf("-d%ds", d), "--timeout", seconds+"s", web+"/")
		require.NotContains(t, out, "Socket errors", out)
		require.NotContains(t, out, "Non-2xx", out)
		answered = regexp.MustCompile(`[1-9]\d* requests in`).MatchString(out)
	}

	for _, url := range []string{web + "/", secure + "/"} {
		out := r.client.run("h2load", "-n", "500", "-c", "10", "-m", "10", url)
		require.Contains(t, out, "500 succeeded, 0 failed, 0 errored, 0 timeout", out)
		require.Contains(t, out, "Application protocol: h2", out)
	}

	for _, how := range [][]string{nil, {"-R"}, {"-P", "4"}} {
		out := r.client.run("iperf3", append([]string{"-c", bare, "-n", "32M", "-J", "--connect-timeout", seconds + "000"}, how...)...)
		var report struct {
			Error string
			End   struct {
				Sent     struct{ Bytes int64 } `json:"sum_sent"`
				Received struct{ Bytes int64 } `json:"sum_received"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &report), out)
		require.Empty(t, report.Error)
		require.GreaterOrEqual(t, report.End.Sent.Bytes, int64(32<<20), "%v", how)
		require.NotZero(t, report.End.Received.Bytes, "%v", how)
	}

	dig := func(args ...string) string {
		return r.client.run("dig", append([]string{"@" + bare, "+tries=3", "+timeout=20"}, args...)...)
	}
	for range 5 {
		require.Equal(t, knownAddress, dig("+short", knownName, "A"))
	}
	require.Contains(t, dig("nowhere.test", "A"), "status: NXDOMAIN")
	// An answer in fragments, and a question whose datagram is in fragments.
	require.Len(t, regexp.MustCompile(`x{250}`).FindAllString(dig("+bufsize=4096", "+ignore", knownName, "TXT"), -1), 12)
	c := r.client.start("")
	c.must("dial udp %s:5300", host)
	long := strings.Repeat("y", 4000)
	require.Equal(t, long, c.must("say %s", long))
	c.must("dial tcp %s:7000", host)
	require.Equal(t, long, c.must("say %s", long))
	c.must("hangup")
	c.kill()
}

// useScanners asks which ports are open, in the ways of those who look for holes: the
// stack's are, the kernel's are, others are not.
func (r *rig) useScanners(t *testing.T, p *program) {
	// nmap would take a server for a filter that does not answer in 100 ms.
	nmap := func(args ...string) string {
		return r.client.run("nmap", append([]string{"-Pn", "-n", "--min-rtt-timeout", "20s", "--initial-rtt-timeout", "20s", "--max-rtt-timeout", "20s"}, args...)...)
	}
	for _, to := range [][]string{{serverIP}, {"-6", serverIP6}} {
		for _, how := range []string{"-sS", "-sT"} {
			out := nmap(append([]string{how, "-p", "22,8080,8081,8443,7000,9"}, to...)...)
			for port, state := range map[string]string{"22": "open", "8080": "open", "8081": "open", "8443": "open", "7000": "open", "9": "closed"} {
				require.Regexp(t, `(?m)^`+port+`/tcp +`+state+` `, out)
			}
		}
	}
	require.Regexp(t, `(?m)^53/udp +open +`, nmap("-sU", "-p", "53", serverIP))
	// The kernel of hping3 resets what it has not begun: a RST for each SYN-ACK, and
	// with it the end of what is half open. hping3 itself waits for a second only.
	before := p.stats().TCP
	r.client.probe("flags=SA", "-S", "-p", "8080", "-c", "5", "-i", "u20000", serverIP)
	require.Eventually(t, func() bool {
		s := p.stats().TCP
		return s.SYNs >= before.SYNs+5 && s.HalfOpen == 0
	}, patience, 10*time.Millisecond)
	require.Equal(t, before.SYNTimeouts, p.stats().TCP.SYNTimeouts)
	// A port that nobody has is the kernel's to refuse.
	r.client.probe("flags=RA", "-c", "1", "-S", "-p", "9", serverIP)
	// Not a SYN: refused by the stack, whose port it is.
	r.client.probe("flags=R", "-c", "1", "-A", "-p", "8080", serverIP)
}
