package main

import (
	"fmt"
	"io"
	"net/rpc"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve serves on address until the listener fails.
func serve(address string) error {
	l, err := listen(address)
	if err != nil {
		return err
	}
	return serveCalls(l)
}

// demo makes some calls: two under way at once, and one that fails.
func demo(client *fastnet.Network, out io.Writer) error {
	l, err := listen(wired.ServerIP + ":1234")
	if err != nil {
		return err
	}
	defer l.Close()
	go serveCalls(l)

	conn, err := client.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	caller := rpc.NewClient(conn)
	defer caller.Close()
	var product int
	var quotient Quotient
	multiply := caller.Go("Arith.Multiply", Args{17, 8}, &product, nil)
	divide := caller.Go("Arith.Divide", Args{17, 8}, &quotient, nil)
	for _, call := range []*rpc.Call{multiply, divide} {
		if err := (<-call.Done).Error; err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "17 * 8 = %d\n17 / 8 = %d, remainder %d\n", product, quotient.Quo, quotient.Rem)
	err = caller.Call("Arith.Divide", Args{17, 0}, &quotient)
	fmt.Fprintf(out, "17 / 0: %v\n", err)
	return nil
}
