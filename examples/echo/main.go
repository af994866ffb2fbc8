package main

import (
	"fmt"
	"io"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve answers on address until a socket fails.
func serve(address string) error {
	l, p, err := listen(address)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- echoStreams(l) }()
	go func() { failed <- echoPackets(p) }()
	return <-failed
}

// demo asks the service once over each protocol.
func demo(client *fastnet.Network, out io.Writer) error {
	l, p, err := listen(wired.ServerIP + ":7")
	if err != nil {
		return err
	}
	defer l.Close()
	defer p.Close()
	go echoStreams(l)
	go echoPackets(p)
	for _, network := range []string{"tcp", "udp"} {
		c, err := client.Dial(network, l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		answer, err := ask(c, "hello over "+network)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s %s: %s\n", network, c.RemoteAddr(), answer)
	}
	return nil
}
