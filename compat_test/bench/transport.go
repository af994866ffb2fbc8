package main

import (
	"net"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// A Transport is one network with two ends, used for one measurement only, so
// that no row carries the connections or the timers of an earlier one along.
type Transport interface {
	// Listen opens the server's end. It is called once, before any Dial.
	Listen() (net.Listener, error)
	// Dial connects to what Listen returned. Safe for concurrent use.
	// It takes no context: one that could be cancelled would cost the kernel
	// row a goroutine for each connection, which a plain net.Dial does not.
	Dial() (net.Conn, error)
	// Packets counts what crossed the link so far, both directions together.
	// It is 0 where there is nothing to count.
	Packets() uint64
	// Close frees the network, after its connections and listener are closed.
	Close() error
}

// A Row is one of the networks compared.
type Row struct {
	measure.Row
	// Open makes a fresh network.
	Open func() (Transport, error)
}

// kernelRow is the row that the others are compared with.
const kernelRow = "kernel"

// rows are all that were compiled in, in the order of the table.
var rows = []*Row{
	{measure.Row{Name: kernelRow, About: "TCP over the kernel's loopback interface, through package net"}, openKernel},
	{measure.Row{Name: "memory", About: "a buffered connection in memory that costs nothing: the limit"}, openMemory},
	{measure.Row{Name: "netstack", About: "gVisor's netstack, both ends joined directly, MTU 1500, no offload"}, openNetstack},
	{measure.Row{Name: "fastnet", About: "fastnet, both ends on a wire in memory, MTU 1500, no offload"}, openFastnet(wire.Config{MTU: 1500})},
	{
		measure.Row{Name: "fastnet-tso", About: "the same over a wire with segmentation offload", Only: []string{"bulk"}},
		openFastnet(wire.Config{MTU: 1500, TSO: true}),
	},
}
