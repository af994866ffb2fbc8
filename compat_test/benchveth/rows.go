package main

import "github.com/fastnet-go/fastnet/compat_test/internal/measure"

// configVariable tells a server what fastnet is to use; empty: package net.
const configVariable = "BENCHVETH_CONFIG"

// A row is one of the servers compared.
type row struct {
	measure.Row
	config string // of fastnet; empty: package net
	plain  bool   // segmentation offload is off at both ends of its pair
}

const (
	rowKernel  = "kernel"
	rowPlain   = "kernel-plain"
	rowNative  = "xdp"
	rowGeneric = "xdp-generic"
)

// rows are all there are, in the order of the tables.
var rows = []*row{
	{Row: measure.Row{Name: rowKernel, About: "package net; for udp by recvmmsg(2)"}},
	{Row: measure.Row{
		Name: rowPlain, About: "the same, with segmentation offload off at both ends of the pair", Only: []string{"bulk-out", "bulk-in"},
	}, plain: true},
	{Row: measure.Row{Name: rowNative, About: "fastnet, xdp:eth0, attached as it chooses"}, config: "xdp:eth0"},
	{Row: measure.Row{
		Name: rowGeneric, About: "fastnet, xdp:eth0,attach=generic: the peer keeps its segmentation offload",
	}, config: "xdp:eth0,attach=generic"},
}

// A workload is one way of using a server.
type workload struct {
	measure.Workload
	finish func(*sample)
}

// workloads are all there are, in the order of the table.
var workloads = []*workload{
	{measure.Workload{Name: "http64", About: "net/http, 64 keep-alive connections of wrk's, small GET", Unit: "1/s"}, rate},
	{measure.Workload{Name: "http1", About: "net/http, 1 keep-alive connection, small GET", Unit: "1/s"}, rate},
	{measure.Workload{Name: "ping", About: "1 connection, 1 byte each way", Unit: "1/s"}, rate},
	{measure.Workload{Name: "conn", About: "connect, one GET, close; 16 at a time", Unit: "1/s"}, rate},
	{measure.Workload{Name: "bulk-out", About: "1 connection, from the server; an operation is 64 KiB", Unit: "Gbit/s"}, throughput},
	{measure.Workload{Name: "bulk-in", About: "1 connection, to the server; an operation is 64 KiB", Unit: "Gbit/s"}, throughput},
	{measure.Workload{Name: "udp", About: "datagrams of 272 bytes to the server, as many as go", Unit: "1/s"}, rate},
	{measure.Workload{Name: "idle", About: "nothing happens; the server's processor time", Unit: "%", LowerIsBetter: true}, share},
	{measure.Workload{
		Name: "wake", About: "a byte each way every 20 ms; system calls of the driver's for each", Unit: "calls", LowerIsBetter: true,
	}, calls},
}

func rate(s *sample) { s.Value = s.perSecond() }

// throughput is in Gbit/s. So far an operation is a byte.
func throughput(s *sample) {
	s.Value = s.perSecond() * 8 / 1e9
	s.ops /= bulkWrite
}

// share is the processor time in percent of the time.
func share(s *sample) { s.Value = 100 * s.cpu().Seconds() / s.wall.Seconds() }

func calls(s *sample) { s.Value = s.callsPerOp() }
