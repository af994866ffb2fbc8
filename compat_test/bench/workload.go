package main

import (
	"context"
	"time"
)

// A Workload is one way of using a network.
type Workload struct {
	Name  string
	About string
	Unit  string // of Sample.Value
	// Run measures for d on a fresh network. The error says that there is no
	// measurement; errors of single operations are counted in the sample.
	Run func(ctx context.Context, t Transport, d time.Duration) (Sample, error)
	// LowerIsBetter tells how to read the value and the ratio.
	LowerIsBetter bool
}

func (w *Workload) Named() string { return w.Name }

// workloads are all there are, in the order of the table.
var workloads = []*Workload{
	{Name: "http64", About: "64 keep-alive connections, small GET", Unit: "1/s", Run: runHTTP(64)},
	{Name: "http1", About: "1 keep-alive connection, small GET", Unit: "1/s", Run: runHTTP(1)},
	{Name: "ping", About: "1 connection, 1 byte each way", Unit: "1/s", Run: runPing},
	{Name: "conn", About: "connect, one GET, close; 16 at a time", Unit: "1/s", Run: runConn},
	{Name: "bulk", About: "1 connection, one way; an operation is 64 KiB", Unit: "Gbit/s", Run: runBulk},
	{Name: "beside", About: "an echo over a kernel socket while http64 runs on the row; p50", Unit: "us", Run: runBeside, LowerIsBetter: true},
}
