package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds what a test waits for; it says nothing of how long anything
// takes.
const patience = time.Minute

// output is a writer that tests wait at.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var announced = regexp.MustCompile(`Open +(http://\S+/)`)

// url waits until the server has announced itself.
func (o *output) url(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := announced.FindStringSubmatch(o.String()); m != nil {
			return m[1]
		}
		if strings.Contains(o.String(), "ended:") {
			break
		}
	}
	require.Fail(t, "the server announced no address", "%s", o)
	return ""
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	r, err := c.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r, string(body)
}

// start runs the server in this process, which is possible once: its host is
// the default network. The function returned shuts it down.
func start(t *testing.T, o options) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := new(output)
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, cancel, o, out, false)
		fmt.Fprintln(out, "ended:", err)
		ended <- err
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("no end of the shutdown")
		}
	})
	t.Cleanup(stop)
	return out.url(t), stop
}

// again runs the test in a process of its own, with a further variable in its
// environment.
func again(t *testing.T, variable string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no such process can be started here: %v", err)
	}
	require.NoError(t, err, "%s", out)
}

// started says that this process has had its server: go test -count.
var started atomic.Bool

func TestServerOnAWire(t *testing.T) {
	if started.Swap(true) {
		again(t, "HTTPSERVER_TEST_AGAIN", nil)
		return
	}
	before := runtime.NumGoroutine()
	url, stop := start(t, options{nic: "wire"})
	transport := new(http.Transport)
	client := &http.Client{Transport: transport, Timeout: patience}

	t.Run("serves the page", func(t *testing.T) {
		r, body := get(t, client, url)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"))
		for _, s := range (&hosts{options: options{nic: "wire"}, gateway: new(gateway)}).path() {
			require.Contains(t, body, `id="stop-`+s.ID+`"`)
		}
	})
	t.Run("loads nothing from elsewhere", func(t *testing.T) {
		_, body := get(t, client, url)
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			require.True(t, strings.HasPrefix(m[1], "/"), m[1])
			r, _ := get(t, client, url+m[1][1:])
			require.Equal(t, http.StatusOK, r.StatusCode, m[1])
		}
	})
	t.Run("describes its connections", func(t *testing.T) {
		_, body := get(t, client, url+"status")
		var s status
		require.NoError(t, json.Unmarshal([]byte(body), &s))
		require.NotZero(t, s.Requests)
		require.EqualValues(t, 1, s.Active)
		require.NotNil(t, s.Gateway)
		require.NotZero(t, s.Server.RxPackets)
		require.NotZero(t, s.Gateway.TxPackets)
		var mine []connection
		for _, c := range s.Connections {
			if c.You {
				mine = append(mine, c)
			}
		}
		require.Len(t, mine, 1)
		require.Equal(t, "ESTABLISHED", mine[0].State)
		require.True(t, strings.HasPrefix(mine[0].Remote, "10.77.0.1:"), mine[0].Remote)
		require.True(t, strings.HasPrefix(mine[0].Client, "127.0.0.1:"), mine[0].Client)
		require.NotZero(t, mine[0].Window)
	})
	t.Run("refuses sizes without sense", func(t *testing.T) {
		for _, n := range []string{"", "-1", "x", "99999999999"} {
			r, body := get(t, client, url+"bytes?n="+n)
			require.Equal(t, http.StatusBadRequest, r.StatusCode)
			require.Contains(t, body, "want a number of bytes")
		}
	})
	t.Run("lets a request end that is under way at shutdown", func(t *testing.T) {
		const size = 32 << 20 // more than the buffers on the path hold
		r, err := client.Get(url + "bytes?n=33554432")
		require.NoError(t, err)
		defer r.Body.Close()
		_, err = io.ReadFull(r.Body, make([]byte, 1000))
		require.NoError(t, err)
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		require.Eventually(t, func() bool {
			r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url + "hello")
			if err == nil {
				r.Body.Close()
			}
			return err != nil
		}, patience, time.Millisecond, "it still takes connections")
		n, err := io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
		require.EqualValues(t, size, n+1000)
		<-stopped
	})
	transport.CloseIdleConnections()
	requireGoroutines(t, before)
}

// requireGoroutines waits until no more than most goroutines are left.
func requireGoroutines(t *testing.T, most int) {
	t.Helper()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > most; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			require.Fail(t, "goroutines are left", "%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		says string // on stderr, or stdout for code 0
	}{
		{"", -1, ""},
		{"-port 0 -nic tap -drop-chance 0.5 -pcap x", -1, ""},
		{"-help", 0, "examples:"},
		{"--help", 0, "-drop-chance probability"},
		{"-port 65536", 2, "-port 65536: want 0 to 65535"},
		{"-nic eth0", 2, "want wire or tap"},
		{"-drop-chance 2", 2, "want a probability"},
		{"-drop-chance NaN", 2, "want a probability"},
		{"8080", 2, `unexpected argument "8080"`},
		{"-what", 2, "httpserver -help lists the flags"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			_, code := parseOptions(strings.Fields(test.args), &stdout, &stderr)
			require.Equal(t, test.code, code)
			if test.code == 0 {
				require.Contains(t, stdout.String(), test.says)
				require.Empty(t, stderr.String())
			} else {
				require.Contains(t, stderr.String(), test.says)
				require.LessOrEqual(t, strings.Count(stderr.String(), "\n"), 1)
			}
		})
	}
}

func TestLineOfCounters(t *testing.T) {
	last := status{Seconds: 10}
	now := status{Seconds: 20, Requests: 1234567, Lost: 12345, Connections: make([]connection, 123), Gateway: new(gateStatus)}
	now.Server = hostStatus{RxPackets: 10, TxPackets: 123456789, RxBytes: 12340, TxBytes: 1e11, Retransmits: 2}
	now.Gateway.Retransmits = 3
	got := line(last, now)
	require.Equal(t, "1234567 requests, 123 open; 1/12M packets/s, 1.2k/10GB/s in/out; 5 sent again, 12345 lost", got)
}

func TestAmount(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 7: "7", 999: "999", 1000: "1.0k", 9949: "9.9k", 12345: "12k", 999499: "999k", 2e6: "2.0M", 3.4e9: "3.4G", 5e12: "5000G"} {
		require.Equal(t, want, amount(x))
	}
}

// TestMain makes the test binary the server itself, for tests that need a
// process of their own.
func TestMain(m *testing.M) {
	// On a busy machine any of these may take seconds.
	shutdownTime, dialTime, drainTime = patience/2, patience/2, patience/2
	if os.Getenv("HTTPSERVER_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}
