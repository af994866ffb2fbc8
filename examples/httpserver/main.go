// Command httpserver is an ordinary net/http server on fastnet: the import of
// package net is all that differs.
//
// "make run" starts it. Without root it runs two hosts in this process: the
// server's, and that of a gateway, which takes connections on the kernel's
// 127.0.0.1:8080 and carries them over a wire in memory (package nic/wire). As
// root, "make run NIC=tap", the server is on a TAP interface, and the kernel
// reaches it at 10.77.0.2.
//
// Read main.go, then hosts.go (what the server runs on), gateway.go, pages.go
// (what it serves) and counters.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// shutdownTime is how long requests may take to end after Ctrl-C. Tests have more.
var shutdownTime = 3 * time.Second

func main() {
	o, code := parseOptions(os.Args[1:], os.Stdout, os.Stderr)
	if code >= 0 {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, stop, o, os.Stdout, isTerminal(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "httpserver:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done, calls stop, and shuts down. From then on the
// signal has its default effect: a second Ctrl-C ends the process at once.
func run(ctx context.Context, stop func(), o options, out io.Writer, terminal bool) error {
	hosts, err := newHosts(o)
	if err != nil {
		return err
	}
	defer hosts.Close()

	listener, err := net.Listen("tcp", hosts.listenAddress)
	if err != nil {
		return err
	}
	hosts.open(listener.Addr())
	server := &http.Server{Handler: pages(hosts), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	hosts.announce(out)
	report := startReport(hosts, out, terminal)
	select {
	case <-ctx.Done():
		stop()
	case err = <-served:
	}
	report.stop()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "shutting down (Ctrl-C again to stop at once)")
	return shutdown(server, hosts)
}

// shutdown takes no more connections, and gives requests under way some time.
func shutdown(server *http.Server, hosts *hosts) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	hosts.refuse()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		fmt.Fprintf(os.Stderr, "httpserver: some requests took longer than %v and were cut off\n", shutdownTime)
		err = server.Close()
	}
	return errors.Join(err, hosts.Close())
}
