package main

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve serves on address until the listener fails.
func serve(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	cert, err := newCertificate(host)
	if err != nil {
		return err
	}
	return serveHTTPS(address, cert, func(*http.Server) {})
}

// demo makes a request with the right certificate, and one without.
func demo(client *fastnet.Network, out io.Writer) error {
	cert, err := newCertificate(wired.ServerIP)
	if err != nil {
		return err
	}
	ready, failed := make(chan *http.Server, 1), make(chan error, 1)
	go func() { failed <- serveHTTPS(wired.ServerIP+":443", cert, func(s *http.Server) { ready <- s }) }()
	select {
	case server := <-ready:
		defer func() { server.Close(); <-failed }()
	case err := <-failed:
		return err
	}

	const url = "https://" + wired.ServerIP + "/"
	transport := &http.Transport{DialContext: client.DialContext, TLSClientConfig: clientConfig(cert)}
	defer transport.CloseIdleConnections()
	body, err := get(&http.Client{Transport: transport}, url)
	if err != nil {
		return err
	}
	fmt.Fprint(out, body)

	stranger := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	_, err = get(stranger, url)
	fmt.Fprintln(out, "without the certificate:", err)
	return nil
}
