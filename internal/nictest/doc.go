// Package nictest is the other end for tests of drivers that exchange frames with
// the kernel's stack: what such a test says by hand (frames_linux.go), how it
// sleeps and wakes as a poller does (host_linux.go), and what each such driver
// promises (promises_linux.go).
package nictest
