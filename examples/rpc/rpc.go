// Command rpc is a service of net/rpc and its client.
package main

import (
	"errors"
	"net/rpc"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// Arith is the service.
type Arith struct{}

// Args are two numbers, and Quotient is what Divide makes of them.
type (
	Args     struct{ A, B int }
	Quotient struct{ Quo, Rem int }
)

// Multiply is called as Arith.Multiply.
func (Arith) Multiply(args Args, product *int) error {
	*product = args.A * args.B
	return nil
}

// Divide is called as Arith.Divide.
func (Arith) Divide(args Args, q *Quotient) error {
	if args.B == 0 {
		return errors.New("division by zero")
	}
	*q = Quotient{args.A / args.B, args.A % args.B}
	return nil
}

// listen takes address.
func listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// serveCalls serves the calls of each connection, until l is closed.
func serveCalls(l net.Listener) error {
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go server.ServeConn(c)
	}
}
