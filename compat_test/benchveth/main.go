// Command benchveth compares fastnet on a live interface (AF_XDP, shared with
// the kernel) with package net on the kernel's stack, as servers for a client in
// another network namespace that uses the kernel's stack either way.
//
// Each row has a server, a process of its own, and a veth pair of its own, since
// to attach XDP changes the offloads of a pair. The rows are interleaved within
// a round, so that a slow minute of the machine slows all of them: the number to
// look at is the ratio to the kernel in the same round, of which the median over
// the rounds is printed, with the least and the most.
//
// It needs root, and ip(8). wrk, ethtool and strace are used where they are.
//
// Mind whose time is whose: on veth who sends runs the receiver's half too, up to
// its socket, or up to the AF_XDP ring. The kernel's server is given its segments
// ready for reading in the client's time, and ours has TCP to do.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// options are those of the command line.
type options struct {
	measure.Options[*workload, *row]
	profiles string
}

func main() {
	var err error
	switch os.Getenv(roleVariable) {
	case "server":
		err = runServer(os.Getenv(configVariable))
	case "client":
		err = runClient()
	default:
		os.Exit(newProgram().Run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(measure.ExitFailed)
	}
}

func newProgram() *measure.Program[*workload, *row, sample] {
	var profiles string
	return &measure.Program[*workload, *row, sample]{
		Name: "benchveth", About: "Compares servers on a veth interface, as root. wrk takes whole seconds of a duration.",
		Workloads: workloads, Rows: rows, Base: rowKernel, Targets: targets, Rounds: 10,
		Table:   "processor time for an operation, of the server (user, system) and of the client",
		Columns: columns, Record: newRecord,
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&profiles, "profiles", "", "existing `directory` for CPU profiles of the servers, one for each workload, row and round")
		},
		Measure: func(ctx context.Context, o measure.Options[*workload, *row], w io.Writer) (results, error) {
			return measureAll(ctx, options{o, profiles}, w)
		},
	}
}
