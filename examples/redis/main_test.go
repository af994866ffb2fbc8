package main

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestDemo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	require.Equal(t, strings.TrimPrefix(`
10.77.0.2:6379> PING
PONG
10.77.0.2:6379> SET greeting hello
OK
10.77.0.2:6379> GET greeting
"hello"
10.77.0.2:6379> GET nothing
(nil)
10.77.0.2:6379> INCR visits
(integer) 1
10.77.0.2:6379> INCR visits
(integer) 2
10.77.0.2:6379> INCR greeting
(error) ERR value is not an integer or out of range
10.77.0.2:6379> DEL greeting visits
(integer) 2
10.77.0.2:6379> DBSIZE
(integer) 0
10.77.0.2:6379> FLY away
(error) ERR unknown command "FLY"
`, "\n"), out.String())
}

// TestBytesOnTheWire has a connection for each case, which ends with QUIT or a
// protocol error.
func TestBytesOnTheWire(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	l, err := listen(wired.ServerIP + ":0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- newStore().serveClients(l) }()
	big := string(redcon.AppendBulkString(nil, strings.Repeat("x", 1<<20)))
	for in, want := range map[string]string{
		"ping\r\nQUIT\r\n":                                  "+PONG\r\n+OK\r\n",
		"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\nQUIT\r\n":        "$2\r\n\r\n\r\n+OK\r\n",
		"*1\r\n$3\r\nGET\r\nQUIT\r\n":                       "-ERR wrong number of arguments for 'get' command\r\n+OK\r\n",
		"*x\r\n":                                            "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n:1\r\n":                                      "-ERR Protocol error: expected '$', got ':'\r\n",
		"*1\r\n$-2\r\n":                                     "-ERR Protocol error: invalid bulk length\r\n",
		"*2\r\n$4\r\nECHO\r\n" + big + "QUIT\r\n":           big + "+OK\r\n",
		"EXISTS a b\r\nSET a 1\r\nEXISTS a b a\r\nQUIT\r\n": ":0\r\n+OK\r\n:2\r\n+OK\r\n",
	} {
		c, err := client.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		go io.WriteString(c, in)
		got, err := io.ReadAll(c)
		require.NoError(t, err, "%.40q", in)
		require.True(t, string(got) == want, "%.40q: %.80q", in, got)
		require.NoError(t, c.Close())
	}
	require.NoError(t, l.Close())
	require.NoError(t, <-served)
}

func TestReplies(t *testing.T) {
	r := replies{r: iotest.OneByteReader(strings.NewReader("+OK\r\n-ERR no\r\n:5\r\n$2\r\nhi\r\n$-1\r\n$0\r\n\r\n"))}
	for _, want := range []string{"OK", "(error) ERR no", "(integer) 5", `"hi"`, "(nil)", `""`} {
		got, err := r.next()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := r.next()
	require.Equal(t, io.EOF, err)
}
