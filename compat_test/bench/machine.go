package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine is where a run was made: without it the numbers mean nothing.
type machine struct {
	Go         string
	System     string
	GOMAXPROCS int
	CPU        string
}

func thisMachine() machine {
	return machine{
		Go:         runtime.Version(),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		CPU:        cpuModel(),
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%s %s, GOMAXPROCS %d, %s", m.Go, m.System, m.GOMAXPROCS, m.CPU)
}

// cpuModel is the first processor's name, where the system tells it.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}
