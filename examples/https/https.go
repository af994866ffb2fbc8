// Command https is an HTTPS server with a certificate of its own making, and a
// client that trusts just that.
package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"

	"github.com/fastnet-go/fastnet/fastnet/tls"
)

// serveHTTPS serves on address. It calls ready once it listens.
func serveHTTPS(address string, cert tls.Certificate, ready func(server *http.Server)) error {
	l, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(hello)}
	ready(server)
	return server.Serve(l)
}

// hello tells what it knows of the request's connection.
func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello over %s with %s\n", tls.VersionName(r.TLS.Version), tls.CipherSuiteName(r.TLS.CipherSuite))
}

// clientConfig trusts one certificate.
func clientConfig(cert tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return &tls.Config{RootCAs: pool}
}

// get returns the body behind url.
func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
