package measure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// The client's side of HTTP is a request sent as it stands and a reader that
// knows the one response: net/http's client would cost more than the stacks
// that are compared.
var (
	// GetKeepAlive is a request on a connection that stays, GetClose the last.
	GetKeepAlive = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
	GetClose     = []byte("GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
	statusOK     = []byte("HTTP/1.1 200 OK\r\n")
	body         = []byte("Hello, World!")
	bodyAtEnd    = []byte("\r\n\r\nHello, World!")
)

// ResponseSize is more than the one response takes.
const ResponseSize = 4096

// ReadResponse reads exactly one response into buf, which limits its size.
func ReadResponse(r io.Reader, buf []byte) error {
	n := 0
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		n += k
		if bytes.HasSuffix(buf[:n], bodyAtEnd) {
			if !bytes.HasPrefix(buf[:n], statusOK) {
				return fmt.Errorf("not the expected response: %.60q", buf[:n])
			}
			return nil
		}
		if err == io.EOF {
			return fmt.Errorf("the response ended after %d bytes: %w", n, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("not the expected response: %.60q", buf[:n])
}

// ServeHTTP answers on l until the function returned is called. What net/http
// would log counts as a fault.
func ServeHTTP(l net.Listener, f *Faults) (stop func()) {
	var stopped atomic.Bool
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write(body) // a failure shows at the client, which waits for it
		}),
		ErrorLog: log.New(logged(func(line string) {
			if !stopped.Load() {
				f.Add(errors.New(line))
			}
		}), "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !stopped.Load() {
			f.Add(fmt.Errorf("http server: %w", err))
		}
	}()
	return func() {
		stopped.Store(true)
		srv.Close()
		select {
		case <-done:
		case <-time.After(HangTime):
			f.Add(errors.New("http server: Accept still blocked after Close"))
		}
	}
}

// logged is a log's destination.
type logged func(line string)

func (f logged) Write(b []byte) (int, error) {
	f(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// OneConnection connects, makes one request, and waits for the server's end
// before it closes its own. It reads into buf, which limits a response's size.
func OneConnection(dial func() (net.Conn, error), buf []byte) (err error) {
	conn, err := dial()
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() {
		if e := conn.Close(); err == nil && e != nil && !errors.Is(e, net.ErrClosed) {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	if _, err := conn.Write(GetClose); err != nil {
		return err
	}
	if err := ReadResponse(conn, buf); err != nil {
		return err
	}
	if n, err := conn.Read(buf); n != 0 || err != io.EOF {
		return fmt.Errorf("expected the end of the connection, not %d bytes and error %v", n, err)
	}
	return nil
}
