package fastnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/dialer"
)

// candidates returns the addresses to dial, in order, as resolve does, but as soon as
// the dial may begin: both families of a name are asked for at once, and one that
// answers late comes later, with more. end, which is never nil, ends the look-up with
// the dial.
func (n *Network) candidates(ctx context.Context, d *Dialer, r *Resolver, network, address string) (addrs []Addr, more dialer.More[Addr], end func(), err error) {
	end = func() {}
	host, service, err := net.SplitHostPort(address)
	if err != nil || host == "" || network != "tcp" || d.FallbackDelay < 0 || d.LocalAddr != nil || isLiteral(host) || singleRequest.set() {
		addrs, err = n.resolve(unhooked(ctx), r, network, address, true, d.LocalAddr)
		if d.FallbackDelay >= 0 && network[0] != 'u' {
			addrs = dialer.Interleave(addrs, is4)
		}
		return addrs, more, end, err
	}
	ctx, end = context.WithCancel(ctx)
	port, err := r.LookupPort(ctx, network, service)
	if err != nil {
		return nil, more, end, err
	}
	names := &lengths{Resolver: r}
	sorted := func(ips []netip.Addr) []Addr {
		n.sortLookedUp(ips)
		var addrs []Addr
		for _, ip := range ips {
			addrs = append(addrs, &TCPAddr{IP: names.of(ip), Port: port, Zone: ip.Zone()})
		}
		return addrs
	}
	told := tellOfLookup(ctx, host)
	ips, rest, err := dialer.Lookup(untraced(ctx), names, host, isNotFound)
	told(ips, err)
	switch {
	case err != nil:
		return nil, more, end, err
	case len(ips) == 0:
		return nil, more, end, &AddrError{Err: errNoSuitable, Addr: host}
	}
	addrs = dialer.Interleave(sorted(ips), is4)
	if rest != nil {
		late := make(chan []Addr, 1)
		go func() { late <- sorted(rest()) }()
		more = dialer.More[Addr]{C: late, Insert: func(last Addr, left, batch []Addr) []Addr {
			return dialer.Weave(last, left, batch, is4)
		}}
	}
	return addrs, more, end, nil
}

func isLiteral(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isNotFound(err error) bool {
	var dns *DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// resolvConf looks whether the resolver is to ask one question at a time
// (resolv.conf(5), single-request and single-request-reopen), as package net does:
// every 5 seconds at most.
type resolvConf struct {
	mu     sync.Mutex
	path   string
	looked time.Time
	single bool
}

var singleRequest = resolvConf{path: "/etc/resolv.conf"}

func (r *resolvConf) set() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.looked.IsZero() || now.Sub(r.looked).Abs() > 5*time.Second {
		r.looked = now
		text, _ := os.ReadFile(r.path) // there may be none
		r.single = wantsSingleRequest(string(text))
	}
	return r.single
}

func wantsSingleRequest(text string) bool {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "options" {
			continue
		}
		for _, o := range f[1:] {
			if o == "single-request" || o == "single-request-reopen" {
				return true
			}
		}
	}
	return false
}
