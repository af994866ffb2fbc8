package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve answers on address until the socket fails.
func serve(address string) error {
	p, err := listen(address)
	if err != nil {
		return err
	}
	return answerAll(p)
}

// demo asks with Go's own resolver, which speaks DNS over the connections that
// it is given.
func demo(client *fastnet.Network, out io.Writer) error {
	p, err := listen(wired.ServerIP + ":53")
	if err != nil {
		return err
	}
	defer p.Close()
	go answerAll(p)

	ctx := context.Background()
	resolver := &fastnet.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (fastnet.Conn, error) {
		return client.DialContext(ctx, "udp", p.LocalAddr().String())
	}}
	for _, network := range []string{"ip4", "ip6"} {
		addrs, err := resolver.LookupNetIP(ctx, network, "www.example.test.")
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "www.example.test.", network, addrs)
	}
	text, err := resolver.LookupTXT(ctx, "example.test.")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "example.test. %q\n", text)
	var none *fastnet.DNSError
	if _, err = resolver.LookupTXT(ctx, "nowhere.test."); !errors.As(err, &none) {
		return err
	}
	fmt.Fprintln(out, none.Name, none.Err)
	return nil
}
