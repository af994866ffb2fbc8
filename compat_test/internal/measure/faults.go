package measure

import "sync"

// Faults counts what went wrong during a measurement and keeps the first
// error for the report. Safe for concurrent use; the zero value is ready.
type Faults struct {
	mu    sync.Mutex
	count int
	first error
}

// Add counts an error.
func (f *Faults) Add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.first == nil {
		f.first = err
	}
}

// Sum is how many there were, and the first.
func (f *Faults) Sum() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count, f.first
}
