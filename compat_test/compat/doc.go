// Command compat proves fastnet with tests that its authors did not write: the
// standard library's own. It runs them as they are, then with fastnet in place
// of package net, and names each test that passes only the first way.
//
// Nothing of Go's source is kept here. The files are read from the local
// GOROOT, the import path "net" is replaced in a copy of them in a temporary
// folder, and "go test -overlay" shows the compiler the copy: the tests
// themselves are those of the Go version in use, to the byte. Fastnet and what it
// depends on are laid into GOROOT by the same overlay, since a package of the
// standard library can import nothing else.
//
// The sockets are those of fastnet's own stack, on a host that has nothing but
// its loopback interface (FASTNET=loopback:).
package main
