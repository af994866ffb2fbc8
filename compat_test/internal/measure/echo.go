package measure

import (
	"fmt"
	"io"
	"net"
)

// ServeOne accepts one connection on l and calls serve with what it reads, until
// its end or an error; what names it in the report. The channel returned is closed
// when it is done.
func ServeOne(l net.Listener, f *Faults, what string, size int, serve func(c net.Conn, b []byte) error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			f.Add(fmt.Errorf("accept: %w", err))
			return
		}
		defer c.Close()
		buf := make([]byte, size)
		for {
			n, err := c.Read(buf)
			if n > 0 {
				if e := serve(c, buf[:n]); e != nil {
					err = e
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				f.Add(fmt.Errorf("%s: %w", what, err))
				return
			}
		}
	}()
	return done
}

// ServeEcho accepts one connection on l and sends back what it receives until
// its end. The channel returned is closed when it is done.
func ServeEcho(l net.Listener, f *Faults) <-chan struct{} {
	return ServeOne(l, f, "echo", 64, func(c net.Conn, b []byte) error {
		_, err := c.Write(b)
		return err
	})
}

// RoundTrip sends the byte in b and waits for its echo.
func RoundTrip(c net.Conn, b []byte) error {
	sent := b[0]
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if b[0] != sent {
		return fmt.Errorf("sent %#x, received %#x", sent, b[0])
	}
	b[0]++
	return nil
}
