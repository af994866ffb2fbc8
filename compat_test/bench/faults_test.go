package main

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errPlanted = errors.New("planted")

// brokenTransport is the memory row with a fault.
type brokenTransport struct {
	Transport
	dial func(net.Conn) (net.Conn, error)
}

func (t *brokenTransport) Dial() (net.Conn, error) {
	c, err := t.Transport.Dial()
	if err != nil {
		return nil, err
	}
	return t.dial(c)
}

// shortConn ends after some bytes were read.
type shortConn struct {
	net.Conn
	left int
}

func (c *shortConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// lossyConn reports to have written what it kept back.
type lossyConn struct{ net.Conn }

func (c lossyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b[:len(b)-1])
	return n + 1, err
}

func TestFaultsOfARowAreReported(t *testing.T) {
	refuse := func(c net.Conn) (net.Conn, error) { c.Close(); return nil, errPlanted }
	short := func(c net.Conn) (net.Conn, error) { return &shortConn{Conn: c, left: 4000}, nil }
	lossy := func(c net.Conn) (net.Conn, error) { return lossyConn{c}, nil }
	for _, tc := range []struct {
		name, workload string
		dial           func(net.Conn) (net.Conn, error)
		want           string
	}{
		{"a refused dial", "http1", refuse, "planted"},
		{"refused dials", "conn", refuse, "planted"},
		{"an early end of the connection", "http1", short, "ended after"},
		{"an early end of the echo", "ping", short, "EOF"},
		{"bytes that do not arrive", "bulk", lossy, "arrived"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			row := &Row{Open: func() (Transport, error) {
				m, err := openMemory()
				return &brokenTransport{m, tc.dial}, err
			}}
			o, err := newProgram().Parse([]string{"--workloads=" + tc.workload}, io.Discard)
			require.NoError(t, err)
			// On a busy machine a short measurement may end before the fault is met.
			for d := 20 * time.Millisecond; err == nil; d *= 4 {
				require.Less(t, d, 30*time.Second, "no error")
				var s Sample
				if s, err = measureOne(context.Background(), row, o.Workloads[0], d); err == nil && s.Errors > 0 {
					err = s.FirstError
				}
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}
