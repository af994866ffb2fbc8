package http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/fastnet/http"
	"github.com/fastnet-go/fastnet/fastnet/tls"
)

// Types are net/http's: these are assignments without a conversion.
var (
	_ nethttp.Handler        = http.HandlerFunc(nil)
	_ *nethttp.Request       = (*http.Request)(nil)
	_ nethttp.ResponseWriter = (http.ResponseWriter)(nil)
	_ *nethttp.Client        = http.DefaultClient
	_ *nethttp.ServeMux      = http.DefaultServeMux
	_                        = (*nethttp.Server)(new(http.Server))
)

// run starts s, whose listening method is serve, and returns its address. At the
// test's end it is shut down.
func run(t *testing.T, s *http.Server, serve func() error) (address string) {
	t.Helper()
	listening := make(chan net.Addr, 1)
	s.Addr = "127.0.0.1:0"
	s.BaseContext = func(l net.Listener) context.Context {
		listening <- l.Addr()
		return context.Background()
	}
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.Equal(t, http.ErrServerClosed, <-ended)
	})
	select {
	case a := <-listening:
		return a.String()
	case err := <-ended:
		ended <- err
		require.NoError(t, err)
		return ""
	}
}

// told answers with what was asked, and says whose its connection is.
func told(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
}

// onStack counts the connections of a server that are on sockets of the stack's.
type onStack struct {
	mu    sync.Mutex
	count int
}

func (o *onStack) state(c net.Conn, s http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if tcp, ok := c.(*fastnet.TCPConn); ok && tcp.Stack() != nil && s == http.StateNew {
		o.mu.Lock()
		o.count++
		o.mu.Unlock()
	}
}

func (o *onStack) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}

func body(t *testing.T, r *http.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestServerAndDefaultClientAreTheStacks(t *testing.T) {
	var conns onStack
	s := &http.Server{Handler: http.HandlerFunc(told), ConnState: conns.state}
	base := "http://" + run(t, s, s.ListenAndServe)
	defer http.DefaultClient.CloseIdleConnections()

	r, err := http.Get(base + "/a")
	require.Equal(t, "GET /a ", body(t, r, err))
	r, err = http.Post(base+"/b", "text/plain", strings.NewReader("text"))
	require.Equal(t, "POST /b text", body(t, r, err))
	r, err = http.PostForm(base+"/c", url.Values{"k": {"v"}})
	require.Equal(t, "POST /c k=v", body(t, r, err))
	r, err = http.Head(base + "/d")
	require.Empty(t, body(t, r, err))
	require.Equal(t, http.StatusOK, r.StatusCode)
	// They are kept alive; but net/http gives a connection up whose writing goroutine
	// does not get a processor for 50 ms after a request.
	for requests := 4; conns.connections() >= requests; requests++ {
		require.Less(t, requests, 50, "each has a connection of its own")
		r, err = http.Get(base + "/k")
		require.Equal(t, "GET /k ", body(t, r, err))
	}

	before := conns.connections()
	http.DefaultClient.CloseIdleConnections()
	r, err = http.Get(base + "/e")
	require.Equal(t, "GET /e ", body(t, r, err))
	require.Equal(t, before+1, conns.connections())
}

func TestServerWithTLSIsTheStacks(t *testing.T) {
	borrowed := httptest.NewTLSServer(nil)
	borrowed.Close()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			var conns onStack
			s := &http.Server{
				Handler:   http.HandlerFunc(told),
				ConnState: conns.state,
				TLSConfig: &tls.Config{Certificates: borrowed.TLS.Certificates},
			}
			address := run(t, s, func() error { return s.ListenAndServeTLS("", "") })
			transport := http.DefaultTransport.(*http.Transport).Clone()
			defer transport.CloseIdleConnections()
			transport.TLSClientConfig = borrowed.Client().Transport.(*nethttp.Transport).TLSClientConfig.Clone()
			transport.ForceAttemptHTTP2 = proto == "HTTP/2.0"
			r, err := (&http.Client{Transport: transport}).Get("https://" + address + "/x")
			require.Equal(t, "GET /x ", body(t, r, err))
			require.Equal(t, proto, r.Proto)
			require.Equal(t, 1, conns.connections())
		})
	}
}

func TestPackageFunctionsListenInTheDefaultNetwork(t *testing.T) {
	// 192.0.2.1 is nobody's: the words are those of the stack's bind.
	for _, err := range []error{
		http.ListenAndServe("192.0.2.1:80", nil),
		http.ListenAndServeTLS("192.0.2.1:443", "", "", nil),
		(&http.Server{Addr: "192.0.2.1:80"}).ListenAndServe(),
		(&http.Server{Addr: "192.0.2.1:443"}).ListenAndServeTLS("", ""),
	} {
		require.ErrorContains(t, err, "listen tcp 192.0.2.1:")
		require.ErrorContains(t, err, "bind: ")
	}
	// A server without a certificate gives its address back.
	for range 2 {
		err := http.ListenAndServeTLS("127.0.0.1:8443", "cert.pem", "key.pem", nil)
		require.ErrorContains(t, err, "cert.pem")
	}
}

func TestServeTakesAnyListener(t *testing.T) {
	for name, listen := range map[string]func(network, address string) (net.Listener, error){"stack": fastnet.Listen, "kernel": net.Listen} {
		l, err := listen("tcp", "127.0.0.1:0")
		require.NoError(t, err, name)
		ended := make(chan error, 1)
		go func() { ended <- http.Serve(l, http.HandlerFunc(told)) }()
		transport := new(http.Transport)
		if name == "stack" {
			transport.DialContext = new(fastnet.Dialer).DialContext
		}
		r, err := (&http.Client{Transport: transport}).Get("http://" + l.Addr().String() + "/x")
		require.Equal(t, "GET /x ", body(t, r, err), name)
		transport.CloseIdleConnections()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
	}
}

func TestServerHasNetHTTPsStateAndMethods(t *testing.T) {
	s := &http.Server{Handler: http.HandlerFunc(told)}
	base := "http://" + run(t, s, s.ListenAndServe)
	s.SetKeepAlivesEnabled(false)
	r, err := http.Get(base + "/x")
	require.Equal(t, "GET /x ", body(t, r, err))
	require.True(t, r.Close)
	called := make(chan struct{})
	s.RegisterOnShutdown(func() { close(called) })
	require.NoError(t, s.Shutdown(t.Context()))
	<-called
	require.Equal(t, http.ErrServerClosed, s.ListenAndServe())
	require.Equal(t, http.ErrServerClosed, (*nethttp.Server)(s).ListenAndServe())
}

func TestDefaultServeMuxIsNetHTTPsUntilReplaced(t *testing.T) {
	require.True(t, http.DefaultServeMux == nethttp.DefaultServeMux)
	s := new(http.Server)
	base := "http://" + run(t, s, s.ListenAndServe)
	path := fmt.Sprintf("/registered/%d", time.Now().UnixNano()) // a mux forgets nothing: go test -count
	nethttp.HandleFunc(path, told)
	r, err := http.Get(base + path)
	require.Equal(t, "GET "+path+" ", body(t, r, err))
	require.Nil(t, s.Handler)

	http.DefaultServeMux = http.NewServeMux()
	defer func() { http.DefaultServeMux = nethttp.DefaultServeMux }()
	http.HandleFunc("/f", told)
	http.Handle("/h", http.HandlerFunc(told))
	s2 := new(http.Server)
	base = "http://" + run(t, s2, s2.ListenAndServe)
	for _, p := range []string{"/f", "/h"} {
		r, err := http.Get(base + p)
		require.Equal(t, "GET "+p+" ", body(t, r, err))
	}
	r, err = http.Get(base + path)
	body(t, r, err)
	require.Equal(t, http.StatusNotFound, r.StatusCode)
}

// roundTrip is a function as a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDefaultClientFollowsDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	defer func() { http.DefaultTransport = old }()
	mine := errors.New("mine")
	http.DefaultTransport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, mine })
	_, err := http.Get("http://127.0.0.1/")
	require.ErrorIs(t, err, mine)
	http.DefaultClient.CloseIdleConnections()
}

// TestDefaultTransportIsAsNetHTTPs compares the fields, but for the functions,
// which cannot be compared.
func TestDefaultTransportIsAsNetHTTPs(t *testing.T) {
	ours := reflect.ValueOf(http.DefaultTransport).Elem()
	theirs := reflect.ValueOf(nethttp.DefaultTransport).Elem()
	for i := range ours.NumField() {
		f := ours.Type().Field(i)
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Func:
			require.Equal(t, theirs.Field(i).IsNil(), ours.Field(i).IsNil(), f.Name)
		case f.Name == "TLSClientConfig" || f.Name == "TLSNextProto": // set up by the first use
		default:
			require.Equal(t, theirs.Field(i).Interface(), ours.Field(i).Interface(), f.Name)
		}
	}
}
