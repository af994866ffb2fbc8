// Package netlab makes network namespaces for tests, and joins them. They have no
// name: one is gone with its last descriptor and socket, however the test ends.
package netlab
