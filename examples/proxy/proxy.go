// Command proxy takes HTTP requests from the kernel to fastnet, and back: a reverse
// proxy that listens in the kernel sends them over a wire to one that listens on
// fastnet, which sends them to a server in the kernel.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

// chain is the two proxies and the server.
type chain struct {
	servers   []*http.Server
	listeners []net.Listener
}

// start starts all three. The first proxy listens on address in the kernel; url
// is what to open.
func start(client *fastnet.Network, address string) (c *chain, url string, err error) {
	started := new(chain)
	defer func() {
		if err != nil {
			started.Close()
		}
	}()
	// The server, in the kernel.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	started.serve(l, http.HandlerFunc(report))

	// From fastnet to the kernel: our listener, package net's dial.
	toKernel := newProxy("fastnet to kernel", l.Addr(), new(net.Dialer).DialContext)
	l, err = fastnet.Listen("tcp", wired.ServerIP+":80")
	if err != nil {
		return nil, "", err
	}
	started.serve(l, toKernel)

	// From the kernel to fastnet: package net's listener, our dial.
	toFastnet := newProxy("kernel to fastnet", l.Addr(), client.DialContext)
	l, err = net.Listen("tcp", address)
	if err != nil {
		return nil, "", err
	}
	started.serve(l, toFastnet)
	return started, "http://" + l.Addr().String() + "/", nil
}

func (c *chain) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h}
	c.servers, c.listeners = append(c.servers, s), append(c.listeners, l)
	go s.Serve(l)
}

// Close ends the proxies and the server, in the order of requests.
func (c *chain) Close() {
	for i := len(c.servers) - 1; i >= 0; i-- {
		c.listeners[i].Close() // which the server may not have taken over yet
		c.servers[i].Close()
	}
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
