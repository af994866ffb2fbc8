package fastnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/stack"
)

// virtual runs f in a bubble of virtual time with a lab whose poller is the
// bubble's own. faults may be nil.
func virtual(t *testing.T, faults *fault.Faults, f func(t *testing.T, l *lab)) {
	virtualWith(t, faults, nil, f)
}

// virtualWith is virtual with a change to the networks' configurations.
func virtualWith(t *testing.T, faults *fault.Faults, change func(*Config), f func(t *testing.T, l *lab)) {
	// Package net makes a channel of its own when it first looks a name up: it
	// must not be a bubble's.
	_, err := (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), "localhost")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		poller := stack.NewPoller(stack.PollerConfig{})
		t.Cleanup(func() { poller.Close() })
		cfg := labConfig{poller: poller, change: change}
		if faults != nil {
			cfg.faults = &fault.Config{Seed: 1, Rx: *faults}
		}
		f(t, newLab(t, cfg))
	})
}

// badLink is a link of 20 ms round trip that loses, reorders and duplicates.
var badLink = &fault.Faults{Loss: 0.03, Reorder: 0.02, Duplicate: 0.02, Delay: 10 * time.Millisecond, Jitter: time.Millisecond}

func TestHTTPOverABadLinkInVirtualTime(t *testing.T) {
	virtual(t, badLink, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		serve(t, ln, http.HandlerFunc(site))
		c := client(t, l.client)
		body := strings.Repeat("0123456789", 10_000)
		for range 5 {
			r, err := c.Post("http://"+serverIP+"/x", "text/plain", strings.NewReader(body))
			require.NoError(t, err)
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			require.NoError(t, err)
			require.True(t, string(got) == "POST /x "+body+body+body)
		}
	})
}

func TestTLSOverABadLinkInVirtualTime(t *testing.T) {
	clientTLS, serverTLS := tlsConfigs(t)
	virtual(t, badLink, func(t *testing.T, l *lab) {
		clientTLS, serverTLS := clientTLS.Clone(), serverTLS.Clone()
		ln, err := l.server.Listen("tcp", ":443")
		require.NoError(t, err)
		tl := tls.NewListener(ln, serverTLS)
		go echo(tl)
		defer tl.Close()
		raw, err := l.client.Dial("tcp", serverIP+":443")
		require.NoError(t, err)
		c := tls.Client(raw, clientTLS)
		defer c.Close()
		// Before others wait for it: time stands still while a goroutine
		// waits for a sync.Mutex.
		require.NoError(t, c.Handshake())
		got := readAll(c)
		data := strings.Repeat("secret", 20_000)
		_, err = io.Copy(c, strings.NewReader(data))
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		require.True(t, <-got == data)
	})
}

func TestDeadlinesPassAtTheirTime(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		c, s := l.connect(t, "tcp", serverIP+":0")
		for _, d := range []time.Duration{time.Millisecond, time.Second, 10 * time.Minute} {
			start := time.Now()
			require.NoError(t, c.SetReadDeadline(start.Add(d)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			late := time.Since(start) - d
			require.True(t, late >= 0 && late <= d/100+10*time.Millisecond, "%v: %v late", d, late)
		}
		// A write waits as long for a peer that does not read.
		start := time.Now()
		require.NoError(t, c.SetWriteDeadline(start.Add(time.Minute)))
		n, err := c.Write(make([]byte, 16<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NotZero(t, n)
		require.InDelta(t, time.Minute, time.Since(start), float64(time.Second))
		// What it wrote is not lost.
		require.NoError(t, c.CloseWrite())
		got, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.Equal(t, int64(n), got)
	})
}

func TestSilentPeerIsGivenUpByKeepAlive(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		c, _ := l.connect(t, "tcp", serverIP+":0")
		start := time.Now()
		time.AfterFunc(time.Minute, func() { l.wire.Port(1).SetUp(false) })
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ETIMEDOUT)
		require.ErrorContains(t, err, "read: connection timed out")
		// 15 s idle, then nine probes 15 s apart.
		took := time.Since(start) - time.Minute
		require.True(t, took > 130*time.Second && took < 170*time.Second, "%v", took)
	})
}

func TestKeepAliveIsConfigured(t *testing.T) {
	for _, c := range []struct {
		name   string
		period time.Duration
		config net.KeepAliveConfig
		change func(c *TCPConn) error
		want   time.Duration // after which the peer is given up; 0: never
	}{
		{name: "switched off", period: -1},
		{name: "by its period", period: time.Minute, want: time.Minute + 9*15*time.Second},
		{
			name:   "by its configuration",
			config: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3},
			want:   16 * time.Second,
		},
		{
			name:   "switched off afterwards",
			change: func(c *TCPConn) error { return c.SetKeepAlive(false) },
		},
		{
			name: "switched on afterwards", period: -1,
			change: func(c *TCPConn) error { return c.SetKeepAlive(true) },
			want:   15*time.Second + 9*15*time.Second,
		},
		{
			name:   "changed afterwards, but for what is negative",
			config: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 2 * time.Second, Count: 3},
			change: func(c *TCPConn) error {
				return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: -1, Interval: 20 * time.Second, Count: -1})
			},
			want: 70 * time.Second,
		},
	} {
		virtual(t, nil, func(t *testing.T, l *lab) {
			// Both ends are configured: the Dialer's and the ListenConfig's.
			lc := ListenConfig{KeepAlive: c.period, KeepAliveConfig: c.config}
			ln, err := l.server.ListenWith(t.Context(), &lc, "tcp", serverIP+":0")
			require.NoError(t, err)
			defer ln.Close()
			d := Dialer{KeepAlive: c.period, KeepAliveConfig: c.config}
			client, err := l.client.DialWith(t.Context(), &d, "tcp", ln.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			server, err := ln.Accept()
			require.NoError(t, err)
			defer server.Close()
			l.wire.Port(1).SetUp(false)
			for _, end := range []net.Conn{client, server} {
				if c.change != nil {
					require.NoError(t, c.change(end.(*TCPConn)))
				}
			}
			start := time.Now()
			ended := make(chan string, 2)
			for _, end := range []net.Conn{client, server} {
				end.SetReadDeadline(start.Add(5 * time.Minute))
				go func() {
					_, err := end.Read(make([]byte, 1))
					ended <- fmt.Sprintf("%v after %v", err.(*net.OpError).Err, time.Since(start).Round(time.Second))
				}()
			}
			want := "read: connection timed out after " + c.want.String()
			if c.want == 0 {
				want = "i/o timeout after 5m0s"
			}
			require.Equal(t, want, <-ended, c.name)
			require.Equal(t, want, <-ended, c.name)
		})
	}
}

func TestIdleConnectionStaysByKeepAlive(t *testing.T) {
	virtual(t, badLink, func(t *testing.T, l *lab) {
		c, s := l.connect(t, "tcp", serverIP+":0")
		go func() {
			time.Sleep(10 * time.Minute)
			s.Write([]byte("x"))
		}()
		_, err := c.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NotZero(t, l.wire.Port(0).Queues()[0].Stats().TxPackets)
	})
}

func TestDialGivesUpWhenNobodyAnswers(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		start := time.Now()
		_, err := l.client.Dial("tcp", "10.0.0.99:80")
		require.EqualError(t, err, "dial tcp 10.0.0.99:80: connect: no route to host")
		require.Less(t, time.Since(start), 10*time.Second)

		// A host that is there and says nothing.
		full, err := l.server.Host().ListenTCP(netip.MustParseAddrPort(serverIP+":80"), stack.ListenOptions{Backlog: 1})
		require.NoError(t, err)
		defer full.Close()
		first, err := l.client.Dial("tcp", serverIP+":80")
		require.NoError(t, err)
		defer first.Close()
		start = time.Now()
		_, err = l.client.Dial("tcp", serverIP+":80")
		require.EqualError(t, err, "dial tcp 10.0.0.2:80: connect: connection timed out")
		require.Greater(t, time.Since(start), time.Minute)

		start = time.Now()
		_, err = l.client.DialTimeout("tcp", serverIP+":80", 5*time.Second)
		require.Equal(t, 5*time.Second, time.Since(start).Round(time.Millisecond))
		require.True(t, err.(net.Error).Timeout())
	})
}

func TestCancelledRequestEndsAtOnce(t *testing.T) {
	virtual(t, badLink, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		serve(t, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // the server notices that the client has gone
		}))
		c := client(t, l.client)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+serverIP+"/", nil)
		require.NoError(t, err)
		_, err = c.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start).Round(100*time.Millisecond))
	})
}

// nameServer is a resolver whose answers for every name are addrs.
func nameServer(addrs ...string) *net.Resolver { return slowNameServer(nil, addrs...) }

// slowNameServer is nameServer whose answers take a time.
func slowNameServer(delay map[dnsmessage.Type]time.Duration, addrs ...string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		c, s := net.Pipe()
		go func() {
			defer s.Close()
			answer(s, delay, addrs)
		}()
		return c, nil
	}}
}

// answer answers one query in the form of DNS over TCP (RFC 1035 section 4.2.2).
func answer(s net.Conn, delay map[dnsmessage.Type]time.Duration, addrs []string) {
	var length [2]byte
	if _, err := io.ReadFull(s, length[:]); err != nil {
		return
	}
	query := make([]byte, int(length[0])<<8|int(length[1]))
	if _, err := io.ReadFull(s, query); err != nil {
		return
	}
	var m dnsmessage.Message
	if m.Unpack(query) != nil {
		return
	}
	m.Response, m.RecursionAvailable = true, true
	q := m.Questions[0]
	time.Sleep(delay[q.Type])
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	m.Additionals = nil
	b, err := m.Pack()
	if err != nil {
		return
	}
	s.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...))
}

func TestHappyEyeballs(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		go echo(ln)
		for _, c := range []struct {
			addrs []string
			d     Dialer
			want  string
			after time.Duration
		}{
			{[]string{serverIP, serverIP6}, Dialer{}, serverIP6, 0},
			{[]string{serverIP, "2001:db8::99"}, Dialer{}, serverIP, 300 * time.Millisecond},
			{[]string{serverIP, "2001:db8::99"}, Dialer{FallbackDelay: time.Second}, serverIP, time.Second},
			{[]string{serverIP, "2001:db8:1::1"}, Dialer{}, serverIP, 0}, // no route: it is not even tried first
			{[]string{serverIP, "2001:db8::98", "2001:db8::99"}, Dialer{}, serverIP, 300 * time.Millisecond},
		} {
			c.d.Resolver = nameServer(c.addrs...)
			start := time.Now()
			conn, err := l.client.DialWith(t.Context(), &c.d, "tcp", "name.example:80")
			require.NoError(t, err)
			require.Equal(t, net.JoinHostPort(c.want, "80"), conn.RemoteAddr().String(), fmt.Sprint(c.addrs))
			require.Equal(t, c.after, time.Since(start).Round(50*time.Millisecond), fmt.Sprint(c.addrs))
			require.NoError(t, conn.Close())
		}

		// One after the other, with equal shares of the time.
		d := Dialer{Resolver: nameServer(serverIP, "2001:db8::97"), FallbackDelay: -1, Timeout: 4 * time.Second}
		start := time.Now()
		conn, err := l.client.DialWith(t.Context(), &d, "tcp", "name.example:80")
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(start).Round(50*time.Millisecond))
		conn.Close()

		// Only of one family.
		for network, want := range map[string]string{"tcp4": serverIP, "tcp6": serverIP6} {
			d := Dialer{Resolver: nameServer(serverIP6, serverIP)}
			conn, err := l.client.DialWith(t.Context(), &d, network, "name.example:80")
			require.NoError(t, err)
			require.Equal(t, net.JoinHostPort(want, "80"), conn.RemoteAddr().String())
			conn.Close()
		}
	})
}
