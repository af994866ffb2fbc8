package xdp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
)

// memoryState is what the process holds.
type memoryState struct {
	Heap       uint64 // bytes, after garbage collection
	RSS        uint64 // bytes
	Goroutines int
	Files      int // open descriptors
}

func (p *agent) memory([]string) (string, error) {
	var m memoryState
	for range 3 { // what has a finalizer goes in the second round
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.Heap, m.Goroutines = s.HeapAlloc, runtime.NumGoroutine()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			fmt.Sscan(v, &m.RSS)
			m.RSS <<= 10
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	m.Files = len(files)
	text, err := json.Marshal(m)
	return string(text), err
}

// heap is what the profile of the heap has of what is in use.
func (p *agent) heap([]string) (string, error) {
	var b bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&b, 1); err != nil {
		return "", err
	}
	records, _, _ := strings.Cut(b.String(), "# runtime.MemStats")
	var used strings.Builder
	for r := range strings.SplitSeq(records, "\n\n") {
		if !strings.HasPrefix(r, "0: 0 ") && used.Len() < 16<<10 {
			used.WriteString(r + "\n")
		}
	}
	return used.String(), nil
}

func (p *program) memory() memoryState { p.t.Helper(); return decode[memoryState](p, "memory") }
