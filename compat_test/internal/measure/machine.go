package measure

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where a run was made: without it the numbers mean nothing.
type Machine struct {
	Go         string
	System     string
	GOMAXPROCS int
	CPU        string
}

// ThisMachine is the one that this runs on.
func ThisMachine() Machine {
	return Machine{
		Go:         runtime.Version(),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		CPU:        cpuModel(),
	}
}

func (m Machine) String() string {
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
