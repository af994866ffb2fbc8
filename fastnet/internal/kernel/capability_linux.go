package kernel

import (
	"strings"

	"golang.org/x/sys/unix"
)

// capabilities are those that sharing an interface takes, with what for.
var capabilities = []struct {
	bit  int
	name string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, // attach the program; ask for neighbours
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},     // AF_XDP sockets
	{unix.CAP_BPF, "CAP_BPF"},             // load the program
}

// MissingCapabilities names those that the process lacks, separated by commas.
// CAP_SYS_ADMIN stands for CAP_BPF (capabilities(7)).
func MissingCapabilities() string {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&hdr, &data[0]) != nil {
		return ""
	}
	has := func(bit int) bool { return data[bit/32].Effective&(1<<(bit%32)) != 0 }
	var missing []string
	for _, c := range capabilities {
		if !has(c.bit) && !(c.bit == unix.CAP_BPF && has(unix.CAP_SYS_ADMIN)) {
			missing = append(missing, c.name)
		}
	}
	return strings.Join(missing, ", ")
}
