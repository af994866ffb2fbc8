// Command bench compares fastnet with the kernel's loopback, with an
// in-memory connection that costs nothing (the limit of what any stack could
// reach under the same application code), and with gVisor's netstack.
//
// Everything runs in one process, both ends of each connection included, and
// the rows are interleaved within a round, so that a slow minute of the
// machine slows all of them. The number to look at is therefore the ratio to
// the kernel in the same round, of which the median over the rounds is
// printed; the absolute numbers say more about the machine than about a row.
package main

import (
	"errors"
	"flag"
	"os"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

type options = measure.Options[*Workload, *Row]

func main() { os.Exit(newProgram().Run(os.Args[1:], os.Stdout, os.Stderr)) }

func newProgram() *measure.Program[*Workload, *Row, Sample] {
	var asked profiles
	return &measure.Program[*Workload, *Row, Sample]{
		Name: "bench", About: "Compares network stacks within this process.",
		Workloads: workloads, Rows: rows, Base: kernelRow, Targets: targets,
		Rounds: 7, Out: "bench.jsonl",
		Table: "processor time and allocations of both ends", Columns: columns, Record: newRecord,
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&asked.cpu, "cpuprofile", "", "write a CPU profile to this `file`; needs one row and one workload")
			fs.StringVar(&asked.allocs, "memprofile", "", "write an allocation profile to this `file`; needs one row and one workload")
		},
		Check: func(o options) error {
			if asked != (profiles{}) && (len(o.Workloads) != 1 || len(o.Rows) != 1) {
				return errors.New("a profile mixes what it covers: choose one row and one workload with -rows and -workloads")
			}
			return nil
		},
		Begin:   func() (func() error, error) { return asked.start() },
		Measure: measureAll,
		Untidy:  true,
	}
}
