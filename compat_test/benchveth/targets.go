package main

import "github.com/fastnet-go/fastnet/compat_test/internal/measure"

type target = measure.Target[sample]

// targets are what the project set out to reach on a machine with two processors,
// for each row of fastnet's. One without a limit is printed for what it is.
var targets = forOurs([]target{
	{Workload: "http64", What: "server's processor time a request", Base: rowKernel, AtMost: true, Limit: .5, Number: (*sample).cpuPerOp},
	{Workload: "http64", What: "requests a second", Base: rowKernel, Limit: 1.5, Number: measure.Value[sample]},
	{Workload: "http64", What: "processor time a request, server and client", Base: rowKernel, AtMost: true, Number: (*sample).allPerOp},
	{Workload: "http1", What: "p50", Base: rowKernel, AtMost: true, Limit: 1, Number: p50},
	{Workload: "ping", What: "p50", Base: rowKernel, AtMost: true, Limit: 1, Number: p50},
	{Workload: "ping", What: "p99", Base: rowKernel, AtMost: true, Number: p99},
	{Workload: "conn", What: "connections a second", Base: rowKernel, Limit: 1, Number: measure.Value[sample]},
	{Workload: "bulk-out", What: "Gbit/s", Base: rowPlain, Limit: 1, Number: measure.Value[sample]},
	{Workload: "bulk-out", What: "Gbit/s", Base: rowKernel, Number: measure.Value[sample]},
	{Workload: "bulk-in", What: "Gbit/s", Base: rowPlain, Limit: 1, Number: measure.Value[sample]},
	{Workload: "bulk-in", What: "Gbit/s", Base: rowKernel, Number: measure.Value[sample]},
	{Workload: "udp", What: "datagrams a second of the server's processor", Base: rowKernel, Limit: 2, Number: (*sample).perProcessorSecond},
	{Workload: "udp", What: "datagrams a second", Base: rowKernel, Number: measure.Value[sample]},
	{Workload: "idle", What: "% of a processor", AtMost: true, Limit: 1, Number: measure.Value[sample]},
	{Workload: "wake", What: "system calls of the driver's for each", AtMost: true, Limit: 1, Number: measure.Value[sample]},
	{Workload: "wake", What: "p50", Base: rowKernel, AtMost: true, Number: p50},
})

func forOurs(targets []target) []target {
	for i := range targets {
		targets[i].Rows = []string{rowNative, rowGeneric}
	}
	return targets
}
