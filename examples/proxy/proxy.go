// Command proxy takes HTTP requests from the kernel to fastnet, and back: a reverse
// proxy that listens in the kernel sends them over a wire to one that listens on
// fastnet, which sends them to a server in the kernel.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

// chain is the two proxies and the server.
type chain struct{ servers []*http.Server }

// start starts all three. The first proxy listens on address in the kernel; url
// is what to open.
func start(client *fastnet.Network, address string) (c *chain, url string, err error) {
	c = new(chain)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	// The server, in the kernel.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	c.serve(l, http.HandlerFunc(report))

	// From fastnet to the kernel: our listener, package net's dial.
	toKernel := newProxy("fastnet to kernel", l.Addr(), new(net.Dialer).DialContext)
	if l, err = fastnet.Listen("tcp", wired.ServerIP+":80"); err != nil {
		return nil, "", err
	}
	c.serve(l, toKernel)

	// From the kernel to fastnet: package net's listener, our dial.
	toFastnet := newProxy("kernel to fastnet", l.Addr(), client.DialContext)
	if l, err = net.Listen("tcp", address); err != nil {
		return nil, "", err
	}
	c.serve(l, toFastnet)
	return c, "http://" + l.Addr().String() + "/", nil
}

func (c *chain) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h}
	c.servers = append(c.servers, s)
	go s.Serve(l)
}

// Close ends the proxies and the server, in the order of requests.
func (c *chain) Close() error {
	var errs []error
	for i := len(c.servers) - 1; i >= 0; i-- {
		errs = append(errs, c.servers[i].Close())
	}
	return errors.Join(errs...)
}

// newProxy returns a reverse proxy to an address, which it reaches with dial. It
// notes its name in the request.
func newProxy(name string, to net.Addr, dial func(ctx context.Context, network, address string) (net.Conn, error)) http.Handler {
	target := &url.URL{Scheme: "http", Host: to.String()}
	return &httputil.ReverseProxy{
		Transport: &http.Transport{DialContext: dial},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
			r.Out.Header.Add("X-Through", name)
		},
	}
}

// report tells which way the request came.
func report(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "for:", r.Header.Get("X-Forwarded-For"))
	for _, name := range r.Header["X-Through"] {
		fmt.Fprintln(w, "through:", name)
	}
}
