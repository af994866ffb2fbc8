package main

import (
	"context"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A Workload is one way of using a network.
type Workload struct {
	measure.Workload
	// Run measures for d on a fresh network. The error says that there is no
	// measurement; errors of single operations are counted in the sample.
	Run func(ctx context.Context, t Transport, d time.Duration) (Sample, error)
}

// workloads are all there are, in the order of the table.
var workloads = []*Workload{
	{measure.Workload{Name: "http64", About: "64 keep-alive connections, small GET", Unit: "1/s"}, runHTTP(64)},
	{measure.Workload{Name: "http1", About: "1 keep-alive connection, small GET", Unit: "1/s"}, runHTTP(1)},
	{measure.Workload{Name: "ping", About: "1 connection, 1 byte each way", Unit: "1/s"}, runPing},
	{measure.Workload{Name: "conn", About: "connect, one GET, close; 16 at a time", Unit: "1/s"}, runConn},
	{measure.Workload{Name: "bulk", About: "1 connection, one way; an operation is 64 KiB", Unit: "Gbit/s"}, runBulk},
	{measure.Workload{
		Name: "beside", About: "an echo over a kernel socket while http64 runs on the row; p50",
		Unit: "us", LowerIsBetter: true,
	}, runBeside},
}
