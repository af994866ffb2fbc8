//go:build !linux

package stack

// physicalMemory is the machine's memory in bytes, 0 if it is not known.
func physicalMemory() int64 { return 0 }
