package http

import (
	"context"
	"net"
	nethttp "net/http"
	"sync"

	"github.com/fastnet-go/fastnet/fastnet"
)

// DefaultServeMux is what Handle and HandleFunc register with, and what a
// Server without a Handler serves. It begins as net/http's; a program may replace
// it before its servers start.
var DefaultServeMux = nethttp.DefaultServeMux

// Handle registers handler in DefaultServeMux, as net/http.Handle does.
func Handle(pattern string, handler Handler) { DefaultServeMux.Handle(pattern, handler) }

// HandleFunc registers handler in DefaultServeMux, as net/http.HandleFunc does.
func HandleFunc(pattern string, handler func(ResponseWriter, *Request)) {
	DefaultServeMux.HandleFunc(pattern, handler)
}

// Server is net/http's Server, but for ListenAndServe and ListenAndServeTLS: they
// listen in the default network. The zero value is a valid configuration, and a
// *Server may be converted to net/http's and back.
type Server nethttp.Server

// ListenAndServe listens on the TCP address s.Addr (":http" if it is empty) of
// the default network, and serves until Shutdown or Close, after which it
// returns ErrServerClosed. It never returns nil.
func (s *Server) ListenAndServe() error {
	l, err := s.listen(":http")
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS is ListenAndServe with TLS, and ":https". The files hold the
// certificate, with its intermediates, and its key; they may be "" if s.TLSConfig
// has a certificate.
func (s *Server) ListenAndServeTLS(certFile, keyFile string) error {
	l, err := s.listen(":https")
	if err != nil {
		return err
	}
	defer l.Close() // ServeTLS leaves it open if there is no certificate
	return s.ServeTLS(l, certFile, keyFile)
}

func (s *Server) listen(otherwise string) (net.Listener, error) {
	address := s.Addr
	if address == "" {
		address = otherwise
	}
	return fastnet.Listen("tcp", address)
}

// Serve serves the connections that l accepts, and closes l at last.
func (s *Server) Serve(l net.Listener) error { return s.started().Serve(l) }

// ServeTLS is Serve with TLS. For the files see ListenAndServeTLS.
func (s *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	return s.started().ServeTLS(l, certFile, keyFile)
}

// Shutdown closes the listeners, and returns when no connection is active or ctx
// ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.std().Shutdown(ctx) }

// Close closes the listeners and all connections that are not hijacked.
func (s *Server) Close() error { return s.std().Close() }

// RegisterOnShutdown makes Shutdown call f, in a goroutine of its own.
func (s *Server) RegisterOnShutdown(f func()) { s.std().RegisterOnShutdown(f) }

// SetKeepAlivesEnabled says whether connections serve more than one request. They
// do by default.
func (s *Server) SetKeepAlivesEnabled(v bool) { s.std().SetKeepAlivesEnabled(v) }

func (s *Server) std() *nethttp.Server { return (*nethttp.Server)(s) }

// starting is held while a Server that is about to serve is given its Handler.
var starting sync.Mutex

// started returns net/http's server. Without a Handler that serves net/http's
// own DefaultServeMux, which a program that has replaced ours does not mean.
func (s *Server) started() *nethttp.Server {
	starting.Lock()
	defer starting.Unlock()
	if s.Handler == nil && DefaultServeMux != nethttp.DefaultServeMux {
		s.Handler = DefaultServeMux
	}
	return s.std()
}

// ListenAndServe serves HTTP on a TCP address of the default network, with
// DefaultServeMux if handler is nil. It never returns nil.
func ListenAndServe(addr string, handler Handler) error {
	s := &Server{Addr: addr, Handler: handler}
	return s.ListenAndServe()
}

// ListenAndServeTLS serves HTTPS on a TCP address of the default network. The
// files hold the certificate, with its intermediates, and its key.
func ListenAndServeTLS(addr, certFile, keyFile string, handler Handler) error {
	s := &Server{Addr: addr, Handler: handler}
	return s.ListenAndServeTLS(certFile, keyFile)
}

// Serve serves the connections that l accepts, with DefaultServeMux if handler
// is nil. It never returns nil.
func Serve(l net.Listener, handler Handler) error {
	s := &Server{Handler: handler}
	return s.Serve(l)
}

// ServeTLS is Serve with TLS. For the files see ListenAndServeTLS.
func ServeTLS(l net.Listener, handler Handler, certFile, keyFile string) error {
	s := &Server{Handler: handler}
	return s.ServeTLS(l, certFile, keyFile)
}
