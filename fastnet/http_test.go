package fastnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// serve serves h until the test ends.
func serve(t testing.TB, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
}

// client returns an HTTP client that dials through n.
func client(t testing.TB, n *Network) *http.Client {
	tr := &http.Transport{DialContext: n.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	r, err := c.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode, string(b))
	return string(b)
}

// site answers with the request's method, path, and body, many times over.
func site(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, strings.Repeat(string(b), 3))
}

func TestHTTPBetweenTwoNetworks(t *testing.T) {
	for name, cfg := range map[string]wire.Config{
		"plain": {}, "jumbo frames": {MTU: 9000}, "small frames": {MTU: 1280}, "short rings": {Ring: 32},
		"checksum offload": {Checksum: true}, "segmentation offload": {TSO: true}, "three queues": {Queues: 3},
	} {
		t.Run(name, func(t *testing.T) { testHTTP(t, newLab(t, labConfig{wire: cfg})) })
	}
}

func testHTTP(t *testing.T, l *lab) {
	for _, host := range []string{serverIP, "[" + serverIP6 + "]"} {
		ln, err := l.server.Listen("tcp", host+":0")
		require.NoError(t, err)
		serve(t, ln, http.HandlerFunc(site))
		c := client(t, l.client)
		base := "http://" + ln.Addr().String()
		for range 20 {
			require.Equal(t, "GET /x ", get(t, c, base+"/x"))
		}
		big := strings.Repeat("0123456789abcdef", 1<<16)
		r, err := c.Post(base+"/big", "text/plain", strings.NewReader(big))
		require.NoError(t, err)
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		require.NoError(t, err)
		require.True(t, string(b) == "POST /big "+big+big+big)
	}
}

func TestManyHTTPClientsAtOnce(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", ":80")
	require.NoError(t, err)
	serve(t, ln, http.HandlerFunc(site))
	c := client(t, l.client)
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 25 {
				path := fmt.Sprintf("/%d/%d", i, j)
				r, err := c.Get("http://" + serverIP + path)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || string(b) != "GET "+path+" " {
					t.Errorf("%q, %v", b, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestHTTPServerShutsDown(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", ":0")
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(site)}
	done := make(chan error)
	go func() { done <- s.Serve(ln) }()
	c := client(t, l.client)
	port := ln.Addr().(*net.TCPAddr).Port
	get(t, c, fmt.Sprintf("http://%s:%d/", serverIP, port))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, s.Shutdown(ctx))
	require.Equal(t, http.ErrServerClosed, <-done)
	_, err = c.Get(fmt.Sprintf("http://%s:%d/", serverIP, port))
	require.ErrorContains(t, err, "connection refused")
}

// certificate is httptest's, for example.com and 127.0.0.1.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	s := httptest.NewUnstartedServer(nil)
	s.Listener.Close()
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

func tlsConfigs(t testing.TB) (client, server *tls.Config) {
	cert, pool := certificate(t)
	return &tls.Config{RootCAs: pool, ServerName: "example.com"}, &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestTLSBothWays(t *testing.T) {
	clientTLS, serverTLS := tlsConfigs(t)
	l := newLab(t, labConfig{})
	for _, way := range []struct{ from, to *Network }{{l.client, l.server}, {l.server, l.client}} {
		ln, err := way.to.Listen("tcp", ":443")
		require.NoError(t, err)
		tl := tls.NewListener(ln, serverTLS)
		go echo(tl)
		ip := serverIP
		if way.to == l.client {
			ip = clientIP
		}
		raw, err := way.from.Dial("tcp", ip+":443")
		require.NoError(t, err)
		c := tls.Client(raw, clientTLS)
		got := readAll(c)
		data := strings.Repeat("secret", 50_000)
		_, err = io.Copy(c, strings.NewReader(data))
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		require.True(t, <-got == data)
		require.NoError(t, c.Close())
		require.NoError(t, tl.Close())
	}
}

func TestHTTP2OverTLS(t *testing.T) {
	clientTLS, serverTLS := tlsConfigs(t)
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", ":443")
	require.NoError(t, err)
	s := &http.Server{TLSConfig: serverTLS, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto)
	})}
	go s.ServeTLS(ln, "", "")
	defer s.Close()
	tr := &http.Transport{DialContext: l.client.DialContext, TLSClientConfig: clientTLS, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	require.Equal(t, "HTTP/2.0", get(t, &http.Client{Transport: tr}, "https://"+serverIP+"/"))
}

// TestReverseProxy has the proxy between the kernel's network and the stack's,
// one way and the other.
func TestReverseProxy(t *testing.T) {
	l := newLab(t, labConfig{})
	for _, way := range []struct {
		name        string
		front, back func() (net.Listener, error)
		in, out     *http.Client // towards the front, and from the proxy to the back
	}{
		{
			"from the kernel to the stack",
			func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
			func() (net.Listener, error) { return l.server.Listen("tcp", serverIP+":0") },
			&http.Client{Transport: &http.Transport{}}, client(t, l.client),
		},
		{
			"from the stack to the kernel",
			func() (net.Listener, error) { return l.server.Listen("tcp", serverIP+":0") },
			func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
			client(t, l.client), &http.Client{Transport: &http.Transport{}},
		},
		{
			"within the stack",
			func() (net.Listener, error) { return l.server.Listen("tcp", serverIP+":0") },
			func() (net.Listener, error) { return l.client.Listen("tcp", clientIP+":0") },
			client(t, l.client), client(t, l.server),
		},
	} {
		t.Run(way.name, func(t *testing.T) {
			back, err := way.back()
			require.NoError(t, err)
			serve(t, back, http.HandlerFunc(site))
			front, err := way.front()
			require.NoError(t, err)
			target, err := url.Parse("http://" + back.Addr().String())
			require.NoError(t, err)
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.Transport = way.out.Transport
			serve(t, front, proxy)
			defer way.out.CloseIdleConnections()
			defer way.in.CloseIdleConnections()
			body := bytes.Repeat([]byte("0123456789"), 20_000)
			r, err := way.in.Post("http://"+front.Addr().String()+"/a", "text/plain", bytes.NewReader(body))
			require.NoError(t, err)
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			require.NoError(t, err)
			require.True(t, string(got) == "POST /a "+strings.Repeat(string(body), 3))
		})
	}
}
