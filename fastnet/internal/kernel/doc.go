// Package kernel is what only the operating system's kernel knows of an
// interface that the stack shares with it, learnt by netlink: addresses, routes,
// MTU, Ethernet address and neighbours, followed as they change; which way a
// destination leaves; who else has to do with the interface. And what only the
// kernel can give: ports that nobody else gets, and the word that one process has
// the interface.
//
// Read state.go and follow_linux.go first. Everything is Linux's.
package kernel
