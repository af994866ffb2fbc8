// Package wired puts an example on two hosts of its own process, joined by a wire
// in memory (package nic/wire): no root, no configuration, and no packet meets
// the kernel.
package wired

import (
	"flag"
	"io"
	"log"
	"net/netip"
	"os"
	"sync"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// ServerIP is the address of the host that is fastnet's default network: what
// net.Listen uses. ClientIP is that of the other one.
const (
	ServerIP = "10.77.0.2"
	ClientIP = "10.77.0.1"
)

// Client makes both hosts, once in a process, which end with it, and returns the
// client's.
var Client = sync.OnceValues(func() (*fastnet.Network, error) {
	cable, err := wire.New(wire.Config{})
	if err != nil {
		return nil, err
	}
	err = fastnet.Configure(fastnet.Config{
		Name:      "server",
		Device:    cable.Port(0),
		Addresses: []netip.Prefix{netip.MustParsePrefix(ServerIP + "/24")},
	})
	if err != nil {
		return nil, err
	}
	return fastnet.New(fastnet.Config{
		Name:      "client",
		Device:    cable.Port(1),
		Addresses: []netip.Prefix{netip.MustParsePrefix(ClientIP + "/24")},
	})
})

// Main is the main function of an example. Without arguments it runs demo, which
// has a server on the default network talk to a client on the other host. With
// -serve ADDRESS it runs serve on that address of whatever network the
// environment variable FASTNET describes: the kernel's, if it is not set.
func Main(serve func(address string) error, demo func(client *fastnet.Network, out io.Writer) error) {
	log.SetFlags(0)
	address := flag.String("serve", "", "serve on this `address` of the network that FASTNET describes, until Ctrl-C,\ninstead of showing server and client on a wire")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q: -help lists the flags", flag.Arg(0))
	}
	if *address != "" {
		log.Printf("to serve on %s; Ctrl-C ends it", *address)
		log.Fatal(serve(*address))
	}
	client, err := Client()
	if err == nil {
		err = demo(client, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}
