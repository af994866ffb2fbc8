package fastnet

import (
	"io"
	"net/http"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadFromUDPIsInlined: then the address of a caller that forgets it is not
// allocated (go.dev/issue/43451).
func TestReadFromUDPIsInlined(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("needs the go command")
	}
	out, err := exec.Command(goTool, "build", "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "can inline (*UDPConn).ReadFromUDP\n")
}

// httpDeadlines are the calls that net/http's server makes for a request on a
// connection that stays: it begins without a deadline, and a past one ends the
// read that waits beside the handler.
func httpDeadlines(c *TCPConn) error {
	if err := c.SetReadDeadline(never); err != nil {
		return err
	}
	if err := c.SetReadDeadline(past); err != nil {
		return err
	}
	return c.SetReadDeadline(never)
}

// settled has virtual time pass until the timers of a connection's beginning, and of
// its host's, are over.
func settled() {
	time.Sleep(time.Minute + time.Second)
	synctest.Wait()
}

// TestDeadlinesOfARequestStartNoTimer: neither one of the host's, which Timers
// counts, nor one of Go's, which would be an allocation.
func TestDeadlinesOfARequestStartNoTimer(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		c, _ := l.connect(t, "tcp", serverIP+":0")
		settled()
		before := l.client.Host().Timers()
		for range 100 {
			require.NoError(t, httpDeadlines(c))
			require.Equal(t, before, l.client.Host().Timers())
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		require.Equal(t, before+1, l.client.Host().Timers(), "Timers counts what there is")
	})
	l := newLab(t, labConfig{})
	c, _ := l.connect(t, "tcp", serverIP+":0")
	require.Zero(t, allocs(t, func() {
		if err := httpDeadlines(c); err != nil {
			t.Fatal(err)
		}
	}))
}

// TestAServerOfHTTPStartsNoTimerForARequest: the calls are really those.
func TestAServerOfHTTPStartsNoTimerForARequest(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", serverIP+":0")
		require.NoError(t, err)
		most := 0
		serve(t, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			most = max(most, l.server.Host().Timers())
			io.WriteString(w, "ok")
		}))
		c := client(t, l.client)
		url := "http://" + ln.Addr().String() + "/"
		get(t, c, url)
		settled()
		most = 0
		get(t, c, url)
		atFirst := most
		for range 200 {
			require.Equal(t, "ok", get(t, c, url))
		}
		require.LessOrEqual(t, most, atFirst+1, "the retransmission timer of the one connection may be among them or not")
	})
}

// TestUDPMessagesWithAddrPortDoNotAllocate: nor do those of a connected socket.
func TestUDPMessagesWithAddrPortDoNotAllocate(t *testing.T) {
	l := newLab(t, labConfig{})
	s, err := l.server.ListenUDP("udp", &UDPAddr{IP: ParseIP(serverIP)})
	require.NoError(t, err)
	defer s.Close()
	c, err := l.client.DialUDP("udp", nil, s.LocalAddr().(*UDPAddr))
	require.NoError(t, err)
	defer c.Close()
	out, in, oob := make([]byte, 512), make([]byte, 2048), make([]byte, 128)
	require.Zero(t, allocs(t, func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		_, _, _, from, err := s.ReadMsgUDPAddrPort(in, oob)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.WriteMsgUDPAddrPort(out, nil, from); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(in); err != nil {
			t.Fatal(err)
		}
	}))
}
