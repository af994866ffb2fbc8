// Package http is net/http over package fastnet, for programs that never call
// Listen and Dial themselves:
//
//	import "github.com/fastnet-go/fastnet/fastnet/http"
//
// has every exported name of net/http. The default network (see fastnet.Default
// and the environment variable FASTNET) is what these use:
//
//   - ListenAndServe and ListenAndServeTLS, the functions and the methods of Server;
//   - Get, Head, Post, PostForm, DefaultClient and DefaultTransport.
//
// Everything else is net/http's own: a Handler, Request, ResponseWriter, ServeMux,
// Client or Transport is the same type, so handlers, middleware and routers
// written for net/http serve here as they are. DefaultServeMux is net/http's too,
// so that what registers itself there, as net/http/pprof does, is served.
//
// # What differs
//
// Server is a type of this package, for its methods listen. It has net/http's
// fields and methods, and
//
//	(*nethttp.Server)(s)
//
// makes net/http's of it, with the same state: for http2.ConfigureServer, for
// instance. Net/http's is also what a handler finds under ServerContextKey, and
// the first parameter of the functions in Server.TLSNextProto.
//
// A Client without a Transport dials through net/http's DefaultTransport, and a
// Transport without a DialContext through package net: the kernel. Give them
// DefaultTransport, or a clone of it, and fastnet.Dialer's DialContext:
//
//	c := &http.Client{Transport: http.DefaultTransport, Timeout: 10 * time.Second}
//	t := http.DefaultTransport.(*http.Transport).Clone()
//
// One assignment, early in main, does it for all Clients without a Transport in
// the process, those in libraries too:
//
//	nethttp.DefaultTransport = http.DefaultTransport
//
// A network of one's own, which is not the default, needs none of this package:
// give its listener to net/http's Serve, and its DialContext to a Transport.
package http
