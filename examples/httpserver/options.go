package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// options are the command line.
type options struct {
	port       int
	nic        string // "wire" or "tap"
	pcap       string // file to write, or ""
	dropChance float64
}

const examples = `
examples:
  httpserver                          open http://127.0.0.1:8080/ (no root needed)
  httpserver -port 9000               another port
  httpserver -drop-chance 0.02        lose 2% of the frames: TCP repairs it
  httpserver -pcap run.pcapng         write what the server's stack sees, for Wireshark
  sudo httpserver -nic tap            a TAP interface: curl http://10.77.0.2:8080/

With make: make run PORT=9000 NIC=wire ARGS="-drop-chance 0.02 -pcap run.pcapng"
`

// parseOptions reads the command line. The code is the exit status if the
// program is to end at once, and negative otherwise.
func parseOptions(args []string, stdout, stderr io.Writer) (o options, code int) {
	fs := flag.NewFlagSet("httpserver", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&o.port, "port", 8080, "TCP `port`; 0 for any that is free")
	fs.StringVar(&o.nic, "nic", "wire", "`device` of the server's host: wire (in memory, with a gateway at 127.0.0.1)\nor tap (an interface of the kernel's; Linux, root)")
	fs.StringVar(&o.pcap, "pcap", "", "write the packets that the server's stack sees to this `file` (pcapng)")
	fs.Float64Var(&o.dropChance, "drop-chance", 0, "`probability`, 0 to 1, that a frame is lost, in each direction")
	usage := func(w io.Writer) {
		fmt.Fprint(w, "usage: httpserver [flags]\n\nAn ordinary net/http server on fastnet's own TCP/IP stack. Ctrl-C ends it.\n\nflags:\n")
		fs.SetOutput(w)
		fs.PrintDefaults()
		fmt.Fprint(w, examples)
	}
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return o, 0
	case err != nil:
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.port < 0 || o.port > 65535:
		err = fmt.Errorf("-port %d: want 0 to 65535", o.port)
	case o.nic != "wire" && o.nic != "tap":
		err = fmt.Errorf("-nic %s: want wire or tap", o.nic)
	case !(o.dropChance >= 0 && o.dropChance <= 1):
		err = fmt.Errorf("-drop-chance %v: want a probability, 0 to 1", o.dropChance)
	}
	if err != nil {
		fmt.Fprintf(stderr, "httpserver: %v (httpserver -help lists the flags)\n", err)
		return o, 2
	}
	return o, -1
}

// isTerminal reports whether f is a terminal, or at least no file or pipe.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
