package stack

import "golang.org/x/sys/unix"

// physicalMemory is the machine's memory in bytes, 0 if it is not known.
func physicalMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}
