// Package nic is the contract between the stack and a network device.
//
// A Device has one or more Queues. Everything on the packet path is a method of
// a Queue and works on bursts: Recv takes packets from the device, Alloc gives
// an empty buffer that belongs to the device, Send hands filled buffers back.
// A packet is built in the device's own memory (a UMEM frame, DMA memory, a
// shared ring's buffer) and is surrendered by Send, so a driver never copies.
//
// Read device.go first, then packet.go and pool.go, then wire/ for the smallest
// driver there is. Wrappers (pcap, fault) implement Device around
// another one. A driver knows nothing of IP, and nothing here imports package
// net, directly or not.
package nic
