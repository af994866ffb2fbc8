package dialer

import (
	"context"
	"net/netip"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// Resolver looks up the addresses of a name. network is "ip", "ip4" or "ip6".
// A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve returns the addresses of host, which is a literal or a name, in the
// resolver's order, of the family that network ends in: any, 4 or 6. A literal
// needs no resolver. IPv4-mapped addresses come out as IPv4 ones. The result
// may be empty: then host has addresses of the other family only.
//
// Lookup is for a dial that may begin before both families have answered.
func Resolve(ctx context.Context, r Resolver, network, host string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else {
		ip := "ip"
		if f := family(network); f != 0 {
			ip += string(f)
		}
		if addrs, err = r.LookupNetIP(ctx, ip, host); err != nil {
			return nil, err
		}
	}
	var fit []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if f := family(network); f == 0 || (f == '4') == a.Is4() || defect.On(defect.FamilyIgnored) {
			fit = append(fit, a)
		}
	}
	return fit, nil
}

// family is the digit that ends a network's name, or 0.
func family(network string) byte {
	if n := len(network); n > 0 && (network[n-1] == '4' || network[n-1] == '6') {
		return network[n-1]
	}
	return 0
}

// Interleave orders addrs for Race: the families take turns, the family of the
// first address first; within a family the order remains (RFC 8305 section 4,
// with a First Address Family Count of 1). is4 tells the family.
func Interleave[A any](addrs []A, is4 func(A) bool) []A {
	if len(addrs) < 3 {
		return addrs
	}
	first := is4(addrs[0])
	var turns [2][]A
	for _, a := range addrs {
		i := 0
		if is4(a) != first {
			i = 1
		}
		turns[i] = append(turns[i], a)
	}
	out := make([]A, 0, len(addrs))
	for i := 0; len(out) < len(addrs); i = 1 - i {
		if len(turns[i]) > 0 {
			out = append(out, turns[i][0])
			turns[i] = turns[i][1:]
		}
	}
	return out
}

// Context derives the context of a dial: it ends with ctx, after timeout
// (unless 0), at deadline (unless zero), or once cancel, which may be nil, is
// closed. The CancelFunc must be called.
func Context(ctx context.Context, timeout time.Duration, deadline time.Time, cancel <-chan struct{}) (context.Context, context.CancelFunc) {
	if ctx == nil {
		panic("nil context") // as package net
	}
	if timeout != 0 && !defect.On(defect.TimeoutIgnored) { // including negative, as package net
		if t := time.Now().Add(timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	stop := context.CancelFunc(func() {})
	if !deadline.IsZero() {
		if d, ok := ctx.Deadline(); !ok || deadline.Before(d) {
			ctx, stop = context.WithDeadline(ctx, deadline)
		}
	}
	if cancel == nil || defect.On(defect.CancelIgnored) {
		return ctx, stop
	}
	sub, end := context.WithCancel(ctx)
	go func() {
		select {
		case <-cancel:
			end()
		case <-sub.Done():
		}
	}()
	return sub, func() { end(); stop() }
}
