package kernel

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// site serves two pages: /bytes?n=N sends that many, /hash answers with the
// hash of what was posted.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(pattern(n))
	})
	mux.HandleFunc("/hash", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, hex.EncodeToString(h.Sum(nil)))
	})
	return mux
}

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }

// serveSite serves the site on l, by TLS if certificate is not nil.
func serveSite(t testing.TB, l net.Listener, certificate *tls.Certificate) {
	s := &http.Server{Handler: site(), ReadTimeout: patience}
	served := make(chan error, 1)
	go func() {
		if certificate != nil {
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
			served <- s.ServeTLS(l, "", "")
		} else {
			served <- s.Serve(l)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// selfSigned makes a certificate for ip, and the file that curl trusts it by.
func selfSigned(t testing.TB, ip netip.Addr) (c tls.Certificate, pool *x509.CertPool, file string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{ip.AsSlice()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	pool.AddCert(leaf)
	file = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, file
}

// forEachScheme runs test for http and https.
func forEachScheme(t *testing.T, test func(t *testing.T, scheme string)) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) { test(t, scheme) })
	}
}

// curl, a kernel client, gets and posts at a server on fastnet.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here: Debian has it in the package curl")
	}
	for _, l := range plain {
		for _, f := range families {
			t.Run(l.name+"/"+f.name, func(t *testing.T) {
				r := newRoles(t, l, f, true)
				forEachScheme(t, func(t *testing.T, scheme string) { curl(t, r, scheme) })
			})
		}
	}
}

func curl(t *testing.T, r *roles, scheme string) {
	listener := r.ours.listen(t, r.address)
	base := scheme + "://" + r.address.String()
	args := []string{"--silent", "--show-error", "--fail", "--max-time", fmt.Sprint(patience.Seconds())}
	if scheme == "https" {
		c, _, file := selfSigned(t, r.address.Addr())
		serveSite(t, listener, &c)
		args = append(args, "--cacert", file)
	} else {
		serveSite(t, listener, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	run := func(more ...string) string {
		t.Helper()
		out, err := r.ns.run(ctx, nil, "curl", append(args, more...)...)
		require.NoError(t, err, out)
		return out
	}
	size := r.scaled(20<<20, 2<<20, 0)
	got := filepath.Join(t.TempDir(), "got")
	// Several requests on a connection, small and large ones.
	run(base+"/bytes?n=0", base+"/bytes?n=1", base+"/bytes?n=100000", "-o", got, "-o", got, "-o", got)
	// HTTP/1.1, and with TLS HTTP/2 too.
	versions := []string{"--http1.1"}
	if scheme == "https" {
		versions = append(versions, "--http2")
	}
	for _, version := range versions {
		run(version, fmt.Sprintf("%s/bytes?n=%d", base, size), "-o", got)
		b, err := os.ReadFile(got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(pattern(size), b), "%d bytes came", len(b))
		sum := sha256.Sum256(b)
		require.Equal(t, hex.EncodeToString(sum[:]), run(version, "--data-binary", "@"+got, base+"/hash"))
	}
	// A closed port: curl's exit code is 7, "Failed to connect".
	_, err := r.ns.run(ctx, nil, "curl", append(args, scheme+"://"+netip.AddrPortFrom(r.address.Addr(), 1).String())...)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitCode())
}

// net/http talks to net/http, in both roles.
func TestHTTP(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		forEachScheme(t, func(t *testing.T, scheme string) {
			listener := r.server.listen(t, r.address)
			transport := r.transport()
			defer transport.CloseIdleConnections()
			if scheme == "https" {
				c, pool, _ := selfSigned(t, r.address.Addr())
				transport.TLSClientConfig = &tls.Config{RootCAs: pool}
				serveSite(t, listener, &c)
			} else {
				serveSite(t, listener, nil)
			}
			client := &http.Client{Transport: transport, Timeout: patience}
			base := scheme + "://" + r.address.String()
			for _, size := range []int{0, 1, 5000, 1 << 20} {
				for range r.scaled(20, 5, 1) {
					data := pattern(size)
					answer, err := client.Post(base+"/hash", "application/octet-stream", bytes.NewReader(data))
					require.NoError(t, err)
					sum := sha256.Sum256(data)
					require.Equal(t, hex.EncodeToString(sum[:]), readAll(t, answer))
					answer, err = client.Get(fmt.Sprintf("%s/bytes?n=%d", base, size))
					require.NoError(t, err)
					require.True(t, readAll(t, answer) == string(data))
				}
			}
		})
	})
}

// transport dials from the client's end.
func (r *roles) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return r.client.dial(ctx, netip.MustParseAddrPort(address))
		},
		ForceAttemptHTTP2: true,
	}
}

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	var b strings.Builder
	_, err := io.Copy(&b, r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode)
	return b.String()
}
