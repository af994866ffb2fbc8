package fastnet_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// Two networks in one process, joined by a wire: net/http serves on one, and
// http.Transport dials through the other. No packet meets the kernel.
func Example() {
	cable, err := wire.New(wire.Config{MTU: 1500})
	if err != nil {
		log.Fatal(err)
	}
	open := func(port int, address string) *fastnet.Network {
		n, err := fastnet.New(fastnet.Config{
			Device:    cable.Port(port),
			Addresses: []netip.Prefix{netip.MustParsePrefix(address)},
		})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	server, client := open(0, "10.0.0.1/24"), open(1, "10.0.0.2/24")
	// Who makes a device closes it, after its network.
	defer cable.Port(0).Close()
	defer cable.Port(1).Close()
	defer server.Close()
	defer client.Close()

	l, err := server.Listen("tcp", "10.0.0.1:80")
	if err != nil {
		log.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s to %s", r.Method, r.Host)
	})}
	go s.Serve(l)
	defer s.Close()

	transport := &http.Transport{DialContext: client.DialContext}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://10.0.0.1/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)
	fmt.Println(string(body))
	// Output:
	// 200 OK
	// GET to 10.0.0.1
}

// Configure makes the default network, that of the package's functions, from
// code instead of from the environment variable FASTNET. The device may be any:
// with Tap in place of Device it is a TAP interface.
func ExampleConfigure() {
	cable, err := wire.New(wire.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer cable.Port(0).Close()
	defer cable.Port(1).Close()
	err = fastnet.Configure(fastnet.Config{
		Name:   "server",
		Device: cable.Port(0),
		Addresses: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.1/24"),
			netip.MustParsePrefix("fd00::1/64"),
		},
		Require: true, // whatever the stack cannot serve is an error
	})
	if err != nil {
		log.Fatal(err)
	}
	n, err := fastnet.Default()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()

	// From here on it is package net's API.
	l, err := fastnet.Listen("tcp", "[fd00::1]:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, "hello")
		c.Close()
	}()
	c, err := fastnet.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		log.Fatal(err)
	}
	c.Close()
	fmt.Println(string(text))

	_, err = fastnet.Dial("unix", "/run/a.sock")
	fmt.Println(err)
	// Output:
	// hello
	// dial unix: fastnet: unix sockets are served by the kernel only (the stack has none), and require=true forbids that: do without, or set require=false
}

// A datagram from one network to the other, and its answer.
func ExampleNetwork_ListenPacket() {
	cable, err := wire.New(wire.Config{})
	if err != nil {
		log.Fatal(err)
	}
	open := func(port int, address string) *fastnet.Network {
		n, err := fastnet.New(fastnet.Config{
			Device:    cable.Port(port),
			Addresses: []netip.Prefix{netip.MustParsePrefix(address)},
		})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	server, client := open(0, "10.0.0.1/24"), open(1, "10.0.0.2/24")
	defer cable.Port(0).Close()
	defer cable.Port(1).Close()
	defer server.Close()
	defer client.Close()

	service, err := server.ListenPacket("udp", "10.0.0.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer service.Close()
	c, err := client.Dial("udp", "10.0.0.1:53")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	fmt.Fprint(c, "question")
	b := make([]byte, 512)
	n, from, err := service.ReadFrom(b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s over %s\n", b[:n], from.Network())

	if _, err := service.WriteTo([]byte("answer"), from); err != nil {
		log.Fatal(err)
	}
	n, err = c.Read(b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s from %s\n", b[:n], c.RemoteAddr())
	// Output:
	// question over udp
	// answer from 10.0.0.1:53
}

// What FASTNET may hold, and what a mistake in it looks like: one line that
// names the key.
func ExampleParseConfig() {
	c, err := fastnet.ParseConfig("tap:name=fast0,host=10.77.0.1/24,addr=10.77.0.2/24,addr=fd77::2/64,gw=10.77.0.1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Tap.Name, c.Addresses, c.Gateway)

	_, err = fastnet.ParseConfig("tap:name=fast0,addr=10.77.0.2")
	fmt.Println(err)
	// Output:
	// fast0 [10.77.0.2/24 fd77::2/64] 10.77.0.1
	// fastnet: config: addr=10.77.0.2: it has no prefix length: write an address with its prefix length, as 10.77.0.2/24
}
