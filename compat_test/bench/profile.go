package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are the files that were asked for; empty: none.
type profiles struct{ cpu, allocs string }

// start starts them. The function returned ends the profiles and writes them.
func (p profiles) start() (func() error, error) {
	var cpu *os.File
	if p.cpu != "" {
		f, err := os.Create(p.cpu)
		if err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		cpu = f
	}
	if p.allocs != "" {
		// A stack that allocates once a thousand packets should show: sample
		// far more often than the default of once in 512 KiB.
		runtime.MemProfileRate = 4 << 10
	}
	return func() error {
		var errs []error
		if cpu != nil {
			pprof.StopCPUProfile()
			errs = append(errs, cpu.Close())
		}
		if p.allocs != "" {
			f, err := os.Create(p.allocs)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
		}
		return errors.Join(errs...)
	}, nil
}
