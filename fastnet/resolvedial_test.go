package fastnet

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// A dial does not wait for the slower family's name server: with IPv6 it begins at
// once, with IPv4 after the resolution delay (RFC 8305 section 3).
func TestDialDoesNotWaitForTheSlowerFamily(t *testing.T) {
	const ms = time.Millisecond
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		go echo(ln)
		for _, c := range []struct {
			six, four time.Duration
			addrs     []string
			want      string
			after     time.Duration
		}{
			{0, 3 * time.Second, []string{serverIP, serverIP6}, serverIP6, 0},
			{30 * ms, 0, []string{serverIP, serverIP6}, serverIP6, 30 * ms},
			{3 * time.Second, 0, []string{serverIP, serverIP6}, serverIP, 50 * ms},
			// The first family's address does not answer, the other's comes meanwhile, or later.
			{0, 100 * ms, []string{serverIP, "2001:db8::99"}, serverIP, 300 * ms},
			{100 * ms, 0, []string{"10.0.0.99", serverIP6}, serverIP6, 350 * ms},
			{0, 900 * ms, []string{serverIP, "2001:db8::98"}, serverIP, 900 * ms},
		} {
			d := Dialer{Resolver: slowNameServer(map[dnsmessage.Type]time.Duration{dnsmessage.TypeAAAA: c.six, dnsmessage.TypeA: c.four}, c.addrs...)}
			start := time.Now()
			conn, err := l.client.DialWith(t.Context(), &d, "tcp", "name.example:80")
			require.NoError(t, err)
			require.Equal(t, net.JoinHostPort(c.want, "80"), conn.RemoteAddr().String(), fmt.Sprint(c))
			require.InDelta(t, c.after, time.Since(start), float64(15*ms), fmt.Sprint(c))
			require.NoError(t, conn.Close())
			time.Sleep(10 * time.Second) // the other look-up ends
		}
	})
}

// The hooks see one look-up, with what the dial began with.
func TestDialTellsHTTPTraceOfOneLookup(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		go echo(ln)
		var events []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			DNSStart: func(i httptrace.DNSStartInfo) { events = append(events, "start "+i.Host) },
			DNSDone:  func(i httptrace.DNSDoneInfo) { events = append(events, fmt.Sprint("done ", i.Addrs, i.Err)) },
			ConnectStart: func(_, addr string) {
				events = append(events, "connect "+addr)
			},
		})
		d := Dialer{Resolver: slowNameServer(map[dnsmessage.Type]time.Duration{dnsmessage.TypeA: time.Second}, serverIP, serverIP6)}
		c, err := l.client.DialWith(ctx, &d, "tcp", "name.example:80")
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Equal(t, []string{"start name.example", "done [{" + serverIP6 + " }] <nil>", "connect [" + serverIP6 + "]:80"}, events)
		time.Sleep(10 * time.Second)
	})
}

func TestNameWithoutAnAddress(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		d := Dialer{Resolver: nameServer()}
		_, err := l.client.DialWith(t.Context(), &d, "tcp", "name.example:80")
		var dns *DNSError
		require.ErrorAs(t, err, &dns)
		require.True(t, dns.IsNotFound)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := map[dnsmessage.Type]time.Duration{dnsmessage.TypeA: time.Minute, dnsmessage.TypeAAAA: time.Minute}
		d.Resolver = slowNameServer(never, serverIP)
		_, err = l.client.DialWith(ctx, &d, "tcp", "name.example:80")
		require.True(t, err.(net.Error).Timeout())
		time.Sleep(5 * time.Minute)
	})
}

func TestSingleRequestIsReadFromResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string]bool{
		"":                                   false,
		"nameserver 192.0.2.1\n":             false,
		"options ndots:2 single-request\n":   true,
		"options single-request-reopen":      true,
		"# options single-request\n":         false,
		"search single-request\noptions x\n": false,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		r := resolvConf{path: path}
		require.Equal(t, want, r.set(), text)
	}
	missing := resolvConf{path: path + ".none"}
	require.False(t, missing.set())
}
