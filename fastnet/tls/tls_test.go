package tls_test

import (
	"context"
	cryptotls "crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/fastnet/tls"
)

// certificate returns one for 127.0.0.1, ::1 and example.com, and the pool that
// trusts it: httptest's, whose listener is closed at once.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

// echo listens on address and sends back what each connection sends.
func echo(t *testing.T, address string, cert tls.Certificate) net.Listener {
	l, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l
}

// requireStack fails unless c is on a socket of the stack's, and echoes.
func requireStack(t *testing.T, c net.Conn) {
	t.Helper()
	require.NotNil(t, c.(*cryptotls.Conn).NetConn().(*fastnet.TCPConn).Stack())
	require.True(t, c.(*tls.Conn).ConnectionState().HandshakeComplete)
	_, err := io.WriteString(c, "hello")
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.NoError(t, c.Close())
}

func TestListenAndEveryWayToDialAreTheStacks(t *testing.T) {
	cert, pool := certificate(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := echo(t, address, cert)
		address, config := l.Addr().String(), &tls.Config{RootCAs: pool}

		c, err := tls.Dial("tcp", address, config)
		require.NoError(t, err)
		requireStack(t, c)

		c, err = tls.DialWithDialer(&fastnet.Dialer{Timeout: time.Minute}, "tcp", address, config)
		require.NoError(t, err)
		requireStack(t, c)

		for _, d := range []*tls.Dialer{{Config: config}, {Config: config, NetDialer: &fastnet.Dialer{KeepAlive: -1}}} {
			c, err := d.Dial("tcp", address)
			require.NoError(t, err)
			requireStack(t, c)
			c, err = d.DialContext(t.Context(), "tcp", address)
			require.NoError(t, err)
			requireStack(t, c)
		}
		require.Empty(t, config.ServerName, "the caller's config is left alone")
	}
}

func TestTheCertificateMustBeForTheNameDialled(t *testing.T) {
	cert, pool := certificate(t)
	address := echo(t, "127.0.0.1:0", cert).Addr().String()
	var unknown x509.UnknownAuthorityError
	_, err := tls.Dial("tcp", address, nil)
	require.ErrorAs(t, err, &unknown)
	var other x509.HostnameError
	_, err = tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "elsewhere.test"})
	require.ErrorAs(t, err, &other)
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "example.com"})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestDialErrorsAreCryptoTLSs(t *testing.T) {
	_, err := tls.Dial("tcp", "127.0.0.1:1", nil)
	require.EqualError(t, err, "dial tcp 127.0.0.1:1: connect: connection refused")
	c, err := (&tls.Dialer{}).Dial("tcp", "127.0.0.1")
	require.EqualError(t, err, "dial tcp: address 127.0.0.1: missing port in address")
	require.True(t, c == nil, "an untyped nil")
}

// TestTheTimeLimitIsForTheHandshakeToo dials a listener that never answers.
func TestTheTimeLimitIsForTheHandshakeToo(t *testing.T) {
	l, err := fastnet.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, limited := range []func(limit time.Duration) *fastnet.Dialer{
		func(limit time.Duration) *fastnet.Dialer { return &fastnet.Dialer{Timeout: limit} },
		func(limit time.Duration) *fastnet.Dialer { return &fastnet.Dialer{Deadline: time.Now().Add(limit)} },
	} {
		for limit := 20 * time.Millisecond; ; limit *= 2 {
			_, err = tls.DialWithDialer(limited(limit), "tcp", l.Addr().String(), nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			var dial *net.OpError
			if !errors.As(err, &dial) {
				break // it was connected
			}
			require.Less(t, limit, time.Minute, "never connected: %v", err)
		}
	}

	l, err = fastnet.Listen("tcp", "127.0.0.1:0") // where no connection of above waits
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.ReadFull(c, make([]byte, 1)) // the client's hello is on its way
			cancel()
		}
	}()
	_, err = (&tls.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	require.ErrorIs(t, err, context.Canceled)
}

func TestListenWithoutACertificateTakesNoAddress(t *testing.T) {
	for _, config := range []*tls.Config{nil, {}} {
		_, ours := tls.Listen("tcp", "127.0.0.1:8443", config)
		_, theirs := cryptotls.Listen("tcp", "127.0.0.1:8443", config)
		require.EqualError(t, ours, theirs.Error())
	}
	_, err := tls.Listen("tcp", "192.0.2.1:443", &tls.Config{Certificates: make([]tls.Certificate, 1)})
	require.ErrorContains(t, err, "listen tcp 192.0.2.1:443: bind: ")
}

func TestCertificatesFromFiles(t *testing.T) {
	_, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	require.ErrorIs(t, err, os.ErrNotExist)
}
