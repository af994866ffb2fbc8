package fastnet

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"sync/atomic"
)

// The hooks of net/http/httptrace reach package net in the dial's context, as a
// struct under a key, both of a package that only the standard library can
// import. httptrace itself can be imported, but not by what net/http or crypto/tls
// may be built on. So the key is had by watching package net look for it, and
// the struct, whose fields are exported, is read by reflection.

// traceKey is the key of the hooks; nil if this Go's package net has none.
var traceKey = watchTraceKey()

// watchTraceKey makes package net dial with a context that has ended, so that
// nothing comes of it, and notes the key that it looks for.
func watchTraceKey() any {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	w := &watchedContext{Context: ended}
	_, _ = new(net.Dialer).DialContext(w, "tcp", "127.0.0.1:1")
	if key := w.key.Load(); key != nil {
		return *key
	}
	return nil
}

type watchedContext struct {
	context.Context
	key atomic.Pointer[any]
}

// Value implements context.Context.
func (w *watchedContext) Value(key any) any {
	if t := reflect.TypeOf(key); t.PkgPath() == "internal/nettrace" && t.Name() == "TraceKey" {
		w.key.Store(&key)
	}
	return w.Context.Value(key)
}

// connectHooks are what is called before and after each attempt to connect.
type connectHooks struct {
	start func(network, addr string)
	done  func(network, addr string, err error)
}

// Names of the hooks' fields.
const (
	connectStart = "ConnectStart"
	connectDone  = "ConnectDone"
	dnsStart     = "DNSStart"
	dnsDone      = "DNSDone"
)

// traceOf returns the struct of hooks in ctx; false if it has none.
func traceOf(ctx context.Context) (reflect.Value, bool) {
	if traceKey == nil {
		return reflect.Value{}, false
	}
	v := reflect.ValueOf(ctx.Value(traceKey))
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	return v.Elem(), true
}

// hooksOf returns the hooks in ctx. Those that it has not are nil.
func hooksOf(ctx context.Context) (h connectHooks) {
	if t, ok := traceOf(ctx); ok {
		h.start, _ = hook[func(network, addr string)](t, connectStart)
		h.done, _ = hook[func(network, addr string, err error)](t, connectDone)
	}
	return h
}

// tellOfLookup calls the hook for the beginning of a look-up, which may be several of
// package net's, and returns what calls the one for its end.
func tellOfLookup(ctx context.Context, host string) (done func([]netip.Addr, error)) {
	t, ok := traceOf(ctx)
	if !ok {
		return func([]netip.Addr, error) {}
	}
	if start, ok := hook[func(name string)](t, dnsStart); ok && start != nil {
		start(host)
	}
	return func(ips []netip.Addr, err error) {
		end, ok := hook[func(ips []any, coalesced bool, err error)](t, dnsDone)
		if !ok || end == nil {
			return
		}
		addrs := make([]any, 0, len(ips))
		for _, ip := range ips {
			addrs = append(addrs, IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()})
		}
		end(addrs, false, err)
	}
}

func hook[F any](trace reflect.Value, name string) (f F, ok bool) {
	if v := trace.FieldByName(name); v.IsValid() && v.CanInterface() {
		f, ok = v.Interface().(F)
	}
	return f, ok
}

// unhooked returns ctx without the hooks for connecting: name resolution does
// not show there, and neither do sockets of the kernel's behind our own dial.
func unhooked(ctx context.Context) context.Context {
	t, ok := traceOf(ctx)
	if !ok {
		return ctx
	}
	return without(ctx, t, connectStart, connectDone)
}

// untraced returns ctx without any hooks that we call ourselves.
func untraced(ctx context.Context) context.Context {
	t, ok := traceOf(ctx)
	if !ok {
		return ctx
	}
	return without(ctx, t, connectStart, connectDone, dnsStart, dnsDone)
}

func without(ctx context.Context, t reflect.Value, hooks ...string) context.Context {
	shadow := reflect.New(t.Type())
	shadow.Elem().Set(t)
	for _, name := range hooks {
		if f := shadow.Elem().FieldByName(name); f.IsValid() && f.CanSet() {
			f.SetZero()
		}
	}
	return context.WithValue(ctx, traceKey, shadow.Interface())
}
