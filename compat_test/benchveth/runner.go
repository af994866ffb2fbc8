package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A bench is everything that runs: namespaces, servers, the client.
type bench struct {
	o       options
	rig     *rig
	client  *process
	servers map[*row]*serverOf
}

// openBench starts it all.
func openBench(o options) (_ *bench, err error) {
	b := &bench{o: o, servers: map[*row]*serverOf{}}
	if b.rig, err = newRig(len(o.Rows)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	for i, row := range o.Rows {
		if row.plain {
			if err := b.rig.plain(i); err != nil {
				return nil, fmt.Errorf("row %s: %w", row.Name, err)
			}
		}
		p, err := startProcess(b.rig.server(i), "server", configVariable+"="+row.config)
		if err != nil {
			return nil, fmt.Errorf("row %s: %w", row.Name, err)
		}
		b.servers[row] = &serverOf{p, serverAddress(i)}
	}
	b.client, err = startProcess(b.rig.client, "client")
	return b, err
}

func (b *bench) close() error {
	if b.client != nil {
		b.client.end()
	}
	for _, s := range b.servers {
		s.end()
	}
	return b.rig.close()
}

// measureAll runs every workload on every row, round after round, until ctx
// ends. It reports progress on w.
func measureAll(ctx context.Context, o options, w io.Writer) (all results, err error) {
	b, err := openBench(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	fmt.Fprintf(w, "%s\n", b.tools())
	return measure.Interleave(ctx, o.Options, w, func(wl *workload, row *row, round int) (sample, error) {
		return b.measure(ctx, wl, row, round)
	}), nil
}

// tools says what there is and is not.
func (b *bench) tools() string {
	var missing []string
	for _, t := range []string{"wrk", "strace"} {
		if !installed(t) {
			missing = append(missing, t)
		}
	}
	if missing == nil {
		return "load: wrk for http64, a client in Go for the rest"
	}
	return "not installed: " + strings.Join(missing, ", ") + " (without wrk the client in Go makes the load; without strace only the driver's calls are counted)"
}

func (b *bench) measure(ctx context.Context, wl *workload, row *row, round int) (s sample, err error) {
	server := b.servers[row]
	profile, end := "", ""
	if b.o.profiles != "" {
		profile, end = filepath.Join(b.o.profiles, fmt.Sprintf("%s-%s-%d.pprof", wl.Name, row.Name, round)), "end"
	}
	if wl.Name == "http64" && installed("wrk") {
		s, err = b.wrk(ctx, server, profile, end)
	} else {
		s, err = b.load(ctx, wl, server, profile, end)
	}
	if err == nil && wl.Name == "wake" && round == 0 && installed("strace") {
		s.traced, err = b.trace(ctx, server)
	}
	if err == nil {
		wl.finish(&s)
	}
	return s, err
}

// load has the client make a workload's load.
func (b *bench) load(ctx context.Context, wl *workload, server *serverOf, profile, end string) (s sample, err error) {
	var from, to reading
	result, err := b.ask(ctx, wl.Name, server, func() error {
		from, err = server.read(profile)
		return err
	}, func() error {
		to, err = server.read(end)
		return err
	})
	if err != nil {
		return s, err
	}
	s = sample{ops: float64(result.Ops), wall: result.Wall, client: result.User + result.System, p50: result.P50, p99: result.P99}
	if s.Errors = result.Errors; s.Errors > 0 {
		s.FirstError = errors.New(result.FirstError)
	}
	s.fill(from, to)
	// What has arrived counts, not what was sent.
	switch wl.Name {
	case "udp":
		s.ops, s.wall = float64(to.Datagrams-from.Datagrams), to.At.Sub(from.At)
		s.lost = max(0, 1-measure.Ratio(s.ops, float64(result.Ops)))
	case "bulk-in":
		s.ops, s.wall = float64(to.Received-from.Received), to.At.Sub(from.At)
	}
	return s, nil
}

// ask has the client make a load, and calls begin and end when the counted time
// begins and ends. When ctx ends it does not wait for the client, which is of no
// further use then.
func (b *bench) ask(ctx context.Context, load string, server *serverOf, begin, end func() error) (result clientResult, err error) {
	stop := context.AfterFunc(ctx, func() { b.client.cmd.Process.Kill() })
	defer stop()
	c := b.client
	var failed error
	if err := c.tell(clientRequest{Load: load, Address: server.address, Duration: b.o.Duration}); err != nil {
		return result, err
	}
	for _, e := range []struct {
		name string
		do   func() error
	}{{eventBegin, begin}, {eventEnd, end}} {
		r, err := c.next()
		if err != nil {
			return result, err
		}
		if r.Event != e.name {
			return result, fmt.Errorf("the client says %q in place of %q", r.Event, e.name)
		}
		failed = errors.Join(failed, e.do()) // the client goes on, to be there for the next load
		if err := c.tell(struct{}{}); err != nil {
			return result, err
		}
	}
	err = c.receive(&result)
	return result, errors.Join(failed, err)
}
