package measure

import (
	"fmt"
	"io"
	"net"
)

// ServeEcho accepts one connection on l and sends back what it receives until
// its end. The channel returned is closed when it is done.
func ServeEcho(l net.Listener, f *Faults) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			f.Add(fmt.Errorf("accept: %w", err))
			return
		}
		defer c.Close()
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if n > 0 {
				if _, err := c.Write(buf[:n]); err != nil {
					f.Add(fmt.Errorf("echo: %w", err))
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				f.Add(fmt.Errorf("echo: %w", err))
				return
			}
		}
	}()
	return done
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
