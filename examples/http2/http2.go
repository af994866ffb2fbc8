// Command http2 is an HTTP/2 server without TLS (RFC 9113 section 3.3), and a
// client that has many streams on one connection.
package main

import (
	"bufio"
	"fmt"
	"strings"
	"sync"

	"github.com/fastnet-go/fastnet/fastnet/http"
)

// newServer returns a server for HTTP/1 and for HTTP/2 with prior knowledge.
func newServer(address string) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /proto", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	mux.HandleFunc("GET /together", together())
	mux.HandleFunc("POST /upper", upper)
	server := &http.Server{Addr: address, Handler: mux, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server
}

// streams is how many requests together waits for.
const streams = 100

// together answers when streams requests are under way at once, with the address
// that each came from: it is the same if they share a connection.
func together() http.HandlerFunc {
	var mu sync.Mutex
	waiting, all := 0, make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		waiting++
		mine := all
		if waiting == streams {
			close(all)
			waiting, all = 0, make(chan struct{})
		}
		mu.Unlock()
		select {
		case <-mine:
			fmt.Fprint(w, r.RemoteAddr)
		case <-r.Context().Done():
		}
	}
}

// upper answers each line as it comes: both directions of a stream are open at
// once.
func upper(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	control.EnableFullDuplex() // for HTTP/1: HTTP/2 always is
	lines := bufio.NewScanner(r.Body)
	// The first flush sends the header, for which the client waits.
	for control.Flush() == nil && lines.Scan() {
		fmt.Fprintln(w, strings.ToUpper(lines.Text()))
	}
}
