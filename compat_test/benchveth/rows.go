package main

import "slices"

// configVariable tells a server what fastnet is to use; empty: package net.
const configVariable = "BENCHVETH_CONFIG"

// A row is one of the servers compared.
type row struct {
	name   string
	about  string
	config string   // of fastnet; empty: package net
	plain  bool     // segmentation offload is off at both ends of its pair
	only   []string // workloads; nil means all
}

// Named implements measure.Named.
func (r *row) Named() string { return r.name }

// runs reports whether the row takes part in the workload.
func (r *row) runs(w *workload) bool { return r.only == nil || slices.Contains(r.only, w.name) }

const (
	rowKernel  = "kernel"
	rowPlain   = "kernel-plain"
	rowNative  = "xdp"
	rowGeneric = "xdp-generic"
)

// rows are all there are, in the order of the tables.
var rows = []*row{
	{name: rowKernel, about: "package net; for udp by recvmmsg(2)"},
	{name: rowPlain, about: "the same, with segmentation offload off at both ends of the pair", plain: true, only: []string{"bulk-out", "bulk-in"}},
	{name: rowNative, about: "fastnet, xdp:eth0, attached as it chooses", config: "xdp:eth0"},
	{name: rowGeneric, about: "fastnet, xdp:eth0,attach=generic: the peer keeps its segmentation offload", config: "xdp:eth0,attach=generic"},
}

// A workload is one way of using a server.
type workload struct {
	name   string
	about  string
	unit   string // of sample.value
	lower  bool   // is better
	finish func(*sample)
}

// Named implements measure.Named.
func (w *workload) Named() string { return w.name }

// workloads are all there are, in the order of the table.
var workloads = []*workload{
	{name: "http64", about: "net/http, 64 keep-alive connections of wrk's, small GET", unit: "1/s", finish: rate},
	{name: "http1", about: "net/http, 1 keep-alive connection, small GET", unit: "1/s", finish: rate},
	{name: "ping", about: "1 connection, 1 byte each way", unit: "1/s", finish: rate},
	{name: "conn", about: "connect, one GET, close; 16 at a time", unit: "1/s", finish: rate},
	{name: "bulk-out", about: "1 connection, from the server; an operation is 64 KiB", unit: "Gbit/s", finish: throughput},
	{name: "bulk-in", about: "1 connection, to the server; an operation is 64 KiB", unit: "Gbit/s", finish: throughput},
	{name: "udp", about: "datagrams of 272 bytes to the server, as many as go", unit: "1/s", finish: rate},
	{name: "idle", about: "nothing happens; the server's processor time", unit: "%", lower: true, finish: share},
	{name: "wake", about: "a byte each way every 20 ms; system calls of the driver's for each", unit: "calls", lower: true, finish: calls},
}

func rate(s *sample) { s.value = s.perSecond() }

// throughput is in Gbit/s. So far an operation is a byte.
func throughput(s *sample) {
	s.value = s.perSecond() * 8 / 1e9
	s.ops /= bulkWrite
}

// share is the processor time in percent of the time.
func share(s *sample) { s.value = 100 * s.cpu().Seconds() / s.wall.Seconds() }

func calls(s *sample) { s.value = s.callsPerOp() }
