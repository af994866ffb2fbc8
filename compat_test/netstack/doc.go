// Package netstack runs gVisor's network stack over a nic.Device: an
// independent implementation of TCP/IP to talk to across nic/wire, with
// Ethernet framing, ARP and neighbour discovery of its own.
//
// link.go is the device as netstack wants to see it, host.go a stack with
// addresses on top, sockets.go its connections as package net's interfaces.
package netstack
