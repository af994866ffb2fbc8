// Package stack is the TCP/IP stack: hosts with interfaces, routes, neighbours
// and sockets, on devices of package nic.
//
// A Host has a clock and a random source handed in, and no goroutine of its
// own. Either a Poller drives it, or a single goroutine calls Host.Poll, which
// makes a run replayable.
//
// A packet's way in: queue.poll (queue.go) takes a burst from the device,
// ethernet.go, ipv4.go and ipv6.go find the protocol, tcp_input.go the
// connection, whose state machine is package tcp; its bytes wait as packets on
// the receive queue (receive.go) until Read. A packet's way out: Write copies
// to the state machine's send buffer, tcp_output.go builds segments in buffers
// of the device, on the writer's own goroutine.
//
// Locks, in their order: a connection's lock (conn_lock.go), its
// receive queue's mutex; then the leaves: flow table, timer wheel, neighbour
// cache, a device's transmit. The poller only tries a connection's lock.
//
// Nothing here imports package net, directly or not.
package stack
