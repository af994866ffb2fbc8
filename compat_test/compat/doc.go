// Command compat proves fastnet with tests that its authors did not write: the
// standard library's own, and those of modules of third parties. It runs them as
// they are, then with fastnet in place of package net, and names each test that
// passes only the first way.
//
// Nothing of others' source is kept here. The files are read from the local
// GOROOT, the import path "net" is replaced in a copy of them in a temporary
// folder, and "go test -overlay" shows the compiler the copy: the tests
// themselves are those of the Go version in use, to the byte. Fastnet and what it
// depends on are laid into GOROOT by the same overlay, since a package of the
// standard library can import nothing else. A module (modules_table.go) is copied
// from the module cache with all that it depends on, vendored, and the import is
// replaced throughout; it is compiled against the same GOROOT, so that its
// net/http and crypto/tls are on fastnet too.
//
// The sockets are those of fastnet's own stack, on a host that has nothing but
// its loopback interface (FASTNET=loopback:).
//
// A test that fails is run again, with package net and with fastnet alike. One
// that is lost and not in allowed.txt is run once more with package net too, and
// is not counted if it fails there: the report names it.
package main
