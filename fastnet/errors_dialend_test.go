//go:build linux

package fastnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recovered is what f panics with.
func recovered(f func()) (v any) {
	defer func() { v = fmt.Sprint(recover()) }()
	f()
	return nil
}

// cut is a resolver whose server cannot be reached.
func cut(err error) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
}

// unanswered is a resolver whose server says nothing.
func unanswered() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
}

const soon = 50 * time.Millisecond

// dialEndSituations are dials that fail by a name or are ended from outside.
var dialEndSituations = []situation{
	{"dial a name without addresses", func(t *testing.T, w *world) (errs []any) {
		for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"} {
			errs = append(errs, errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer()}, network, "name.example:80")))
		}
		return errs
	}},
	{"dial names that are none", func(t *testing.T, w *world) (errs []any) {
		for _, address := range []string{"127.0.0.256:80", "1.2.3:80", "[fe80::9%]:80", "[::g]:80", "a..b:80", "[127.0.0.1]:", "127.0.0.1:"} {
			errs = append(errs, errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer()}, "tcp", address)))
		}
		return errs
	}},
	{"dial a name of the other family", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer(w.serverIP4)}, "tcp6", "name.example:80")),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer(w.serverIP6)}, "tcp4", "name.example:80")),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer(w.serverIP6), LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, "tcp", "name.example:80")),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: nameServer(w.serverIP4), LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}}, "tcp", "name.example:80")),
		)
	}},
	{"dial a name whose server cannot be reached", func(t *testing.T, w *world) []any {
		refused := errors.New("no way")
		return list(
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: cut(refused)}, "tcp", "name.example:80")),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: cut(refused)}, "udp", "name.example:80")),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: cut(context.DeadlineExceeded)}, "tcp", "name.example:80")),
		)
	}},
	{"dial a name where nobody listens", func(t *testing.T, w *world) []any {
		port := w.freePort(t)
		one, both := nameServer(w.serverIP), nameServer(w.serverIP4, w.serverIP6)
		address := fmt.Sprint("name.example:", port)
		either := func(err error) any {
			// IPv6 goes first, unless its answer is late (RFC 8305 section 3).
			return strings.NewReplacer("[HOST]", "HOST", "16 bytes", "4 bytes").Replace(describe(err))
		}
		return list(
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: one}, "tcp", address)),
			either(errOf(w.dial(t.Context(), &net.Dialer{Resolver: both}, "tcp", address))),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: both, FallbackDelay: -1}, "tcp", address)),
			either(errOf(w.dial(t.Context(), &net.Dialer{Resolver: both, FallbackDelay: time.Hour}, "tcp", address))),
			errOf(w.dial(t.Context(), &net.Dialer{Resolver: both, Timeout: time.Minute, FallbackDelay: -1}, "tcp4", address)),
		)
	}},
	{"a dial that is cancelled while it resolves", func(t *testing.T, w *world) []any {
		return w.ended(t, func(ctx context.Context, d *net.Dialer) error {
			d.Resolver = unanswered()
			return errOf(w.dial(ctx, d, "tcp", "name.example:80"))
		})
	}},
	{"a UDP dial that is cancelled while it resolves", func(t *testing.T, w *world) []any {
		return w.ended(t, func(ctx context.Context, d *net.Dialer) error {
			d.Resolver = unanswered()
			return errOf(w.dial(ctx, d, "udp", "name.example:80"))
		})
	}},
	{"a dial that is cancelled while the SYN has no answer", func(t *testing.T, w *world) []any {
		to := w.silent(t, w)
		return w.ended(t, func(ctx context.Context, d *net.Dialer) error { return errOf(w.dial(ctx, d, "tcp", to)) })
	}},
	{"a dial by name that is cancelled between two addresses", func(t *testing.T, w *world) []any {
		_, port, err := net.SplitHostPort(w.silent(t, w))
		require.NoError(t, err)
		return w.endedConnecting(t, func(ctx context.Context, d *net.Dialer) error {
			// The other address refuses at once, so the first is the one to wait for.
			d.Resolver = nameServer(w.serverIP)
			d.FallbackDelay = 10 * time.Millisecond
			return errOf(w.dial(ctx, d, "tcp", "name.example:"+port))
		})
	}},
	{"a serial dial by name that is cancelled", func(t *testing.T, w *world) []any {
		_, port, err := net.SplitHostPort(w.silent(t, w))
		require.NoError(t, err)
		return w.endedConnecting(t, func(ctx context.Context, d *net.Dialer) error {
			d.Resolver, d.FallbackDelay = nameServer(w.serverIP), -1
			return errOf(w.dial(ctx, d, "tcp", "name.example:"+port))
		})
	}},
	{"a dial from an address that is cancelled", func(t *testing.T, w *world) []any {
		to := w.silent(t, w)
		return w.ended(t, func(ctx context.Context, d *net.Dialer) error {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.clientIP)}
			return errOf(w.dial(ctx, d, "tcp", to))
		})
	}},
	{"a dial whose Control function cancels it", func(t *testing.T, w *world) []any {
		ctx, cancel := context.WithCancel(t.Context())
		d := &net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			cancel()
			return nil
		}}
		c, err := w.dial(ctx, d, "tcp", w.silent(t, w))
		return list(c == nil, err)
	}},
	{"the end of a context after the dial", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer l.Close()
		go echo(l)
		var results []any
		stop := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		late, cancelLate := context.WithTimeout(t.Context(), soon)
		defer cancelLate()
		for _, c := range []struct {
			ctx context.Context
			d   *net.Dialer
		}{
			{ctx, new(net.Dialer)}, {late, new(net.Dialer)}, {t.Context(), &net.Dialer{Timeout: soon}},
			{t.Context(), &net.Dialer{Deadline: time.Now().Add(soon)}},
			//lint:ignore SA1019 package net's API has Cancel
			{t.Context(), &net.Dialer{Cancel: stop}},
		} {
			conn, err := w.dial(c.ctx, c.d, "tcp", l.Addr().String())
			if err != nil { // its time was over
				results = append(results, "in time")
				continue
			}
			defer conn.Close()
			defer func() {
				_, werr := conn.Write([]byte("x"))
				_, rerr := conn.Read(make([]byte, 1))
				require.NoError(t, werr)
				require.NoError(t, rerr)
			}()
			results = append(results, "in time")
		}
		cancel()
		close(stop)
		time.Sleep(2 * soon)
		return results
	}},
	{"dial with a nil context", func(t *testing.T, w *world) []any {
		return list(recovered(func() { w.dial(nil, new(net.Dialer), "tcp", w.server(80)) }))
	}},
	{"dial with a typed nil for the local address", func(t *testing.T, w *world) []any {
		port := w.freePort(t)
		return list(
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: (*net.TCPAddr)(nil)}, "tcp", w.server(port))),
			errOf(w.dial(t.Context(), &net.Dialer{LocalAddr: (*net.TCPAddr)(nil)}, "udp", w.server(port))),
		)
	}},
	{"dial from the address of a listener", func(t *testing.T, w *world) []any {
		l, err := w.listen("tcp", w.server(0))
		require.NoError(t, err)
		defer l.Close()
		u, err := w.listenPacket("udp", w.server(0))
		require.NoError(t, err)
		defer u.Close()
		return list(
			errOf(w.dialHere(t.Context(), &net.Dialer{LocalAddr: l.Addr()}, "tcp", w.server(w.freePort(t)))),
			errOf(w.dialHere(t.Context(), &net.Dialer{LocalAddr: u.LocalAddr()}, "udp", w.server(9))),
		)
	}},
	{"dial groups, broadcast addresses, zones and port 0", func(t *testing.T, w *world) []any {
		return list(
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp", w.server(0))),
			errOf(w.dialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(w.serverIP)})),
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp", "[fe80::9%no-such-zone]:80")),
			errOf(w.dial(t.Context(), new(net.Dialer), "udp", "[fe80::9%no-such-zone]:80")),
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp", "[::ffff:127.0.0.1]:"+fmt.Sprint(w.freePort(t)))),
			errOf(w.dial(t.Context(), new(net.Dialer), "tcp6", "[::ffff:127.0.0.1]:80")),
		)
	}},
}

// ended runs a dial that would wait for long with each way to end it.
func (w *world) ended(t *testing.T, dial func(ctx context.Context, d *net.Dialer) error) []any {
	return endedWhere(t, dial, func(error) bool { return true })
}

// endedConnecting is ended for a dial by name that is to end as it connects. On a
// machine that is slow its time may be over before the name is looked up: then it has
// more of it.
func (w *world) endedConnecting(t *testing.T, dial func(ctx context.Context, d *net.Dialer) error) []any {
	return endedWhere(t, dial, func(err error) bool {
		var lookup *net.DNSError
		return !errors.As(err, &lookup)
	})
}

// endedWhere runs a dial with each way to end it, after as long a time as it takes to
// end it in the place that there tells by its error.
func endedWhere(t *testing.T, dial func(ctx context.Context, d *net.Dialer) error, there func(error) bool) (errs []any) {
	end := func(way func(after time.Duration) (context.Context, *net.Dialer)) error {
		for after := soon; ; after *= 2 {
			if err := dial(way(after)); there(err) || after > time.Minute {
				return err
			}
		}
	}
	timeout := func(err error) any {
		// Package net's poller and its context end a dial at the same time:
		// which of them is heard first is left to chance.
		return strings.NewReplacer("*poll.DeadlineExceededError", "timeout", "*net.timeoutError", "timeout",
			" is(i/o timeout)", "", " is(context deadline exceeded)", "").Replace(describe(err))
	}
	return list(
		end(func(after time.Duration) (context.Context, *net.Dialer) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(after, cancel)
			return ctx, new(net.Dialer)
		}),
		end(func(after time.Duration) (context.Context, *net.Dialer) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(after, func() { cancel(errors.New("no longer wanted")) })
			return ctx, new(net.Dialer)
		}),
		timeout(end(func(after time.Duration) (context.Context, *net.Dialer) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			t.Cleanup(cancel)
			return ctx, new(net.Dialer)
		})),
		timeout(end(func(after time.Duration) (context.Context, *net.Dialer) {
			return t.Context(), &net.Dialer{Timeout: after}
		})),
		timeout(end(func(after time.Duration) (context.Context, *net.Dialer) {
			return t.Context(), &net.Dialer{Deadline: time.Now().Add(after)}
		})),
		end(func(after time.Duration) (context.Context, *net.Dialer) {
			stop := make(chan struct{})
			time.AfterFunc(after, func() { close(stop) })
			//lint:ignore SA1019 package net's API has Cancel
			return t.Context(), &net.Dialer{Cancel: stop}
		}),
		timeout(end(func(after time.Duration) (context.Context, *net.Dialer) {
			return t.Context(), &net.Dialer{Timeout: time.Hour, Deadline: time.Now().Add(after)}
		})),
	)
}
