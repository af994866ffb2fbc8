// Package sim runs whole hosts on a simulated network, on one goroutine, with
// all chance drawn from a seed: what went wrong once goes wrong again.
//
// Draw makes a Scenario of a seed: two hosts, what is bad about the link
// between them in each direction, and what their applications do. Run plays
// it: it polls the hosts and lets the applications make non-blocking calls
// until nothing moves any more, then turns the clock to the next event. So
// hours of a bad network pass in milliseconds.
//
// A run is judged as it goes (each byte that arrives is the one that was sent,
// in its place; an end of file comes where the peer put it) and at its end
// (world.audit in audit.go): every transfer came to a final state that its
// scenario allows, and no timer, buffer or connection is left.
//
// Reading order: scenario.go, world.go (the loop), stream.go (a TCP
// application), dial.go, datagram.go, audit.go.
//
// Blocking calls and their deadlines, pollers and locks are not exercised here:
// that takes goroutines, whose order no seed decides.
package sim
