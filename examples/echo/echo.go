// Command echo is the echo service (RFC 862) over TCP and UDP, with a client.
package main

import (
	"errors"
	"io"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// listen takes address for both protocols.
func listen(address string) (net.Listener, net.PacketConn, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, p, nil
}

// echoStreams sends back what each connection sends, until l is closed.
func echoStreams(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// echoPackets sends each datagram back, until p is closed.
func echoPackets(p net.PacketConn) error {
	b := make([]byte, 65535)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		p.WriteTo(b[:n], from) // one that cannot be sent is lost, as datagrams are
	}
}

// ask sends text and returns as much of an answer.
func ask(c net.Conn, text string) (string, error) {
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, text)
		sent <- err
	}()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		return "", err
	}
	return string(b), <-sent
}
