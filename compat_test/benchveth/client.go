package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// clientRequest asks the client to load a server.
type clientRequest struct {
	Load     string
	Address  string // of the server, without a port
	Duration time.Duration
}

// clientResult is what a load has come to.
type clientResult struct {
	Ops          uint64 // of the counted time; bytes in bulk
	Wall         time.Duration
	P50, P99     time.Duration
	User, System time.Duration // the client's processor time in the counted time
	Errors       int
	FirstError   string
}

// The words with which the client says that the counted time begins and ends.
const (
	eventBegin = "begin"
	eventEnd   = "end"
)

// A client is the process that loads the servers, on the kernel's stack.
type client struct {
	*conversation
	request clientRequest
	result  clientResult
	faults  measure.Faults
	fatal   error // the parent is not there
	started time.Time
	user    time.Duration
	system  time.Duration
	ops     uint64
}

// loads are the client's sides of the workloads.
var loads = map[string]func(*client) error{
	"http64":   func(c *client) error { return c.http(64) },
	"http1":    func(c *client) error { return c.http(1) },
	"ping":     (*client).ping,
	"conn":     (*client).conn,
	"bulk-in":  (*client).bulkIn,
	"bulk-out": (*client).bulkOut,
	"udp":      (*client).udp,
	"idle":     (*client).idle,
	"wake":     (*client).wake,
}

// runClient is the process of the client.
func runClient() error {
	conv := newConversation()
	for {
		c := &client{conversation: conv}
		if err := conv.in.Decode(&c.request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		load, ok := loads[c.request.Load]
		if !ok {
			conv.reply(nil, fmt.Errorf("unknown load %q", c.request.Load))
			continue
		}
		err := load(c)
		if c.fatal != nil {
			return c.fatal
		}
		var first error
		if c.result.Errors, first = c.faults.Sum(); first != nil {
			c.result.FirstError = first.Error()
		}
		conv.reply(c.result, err)
	}
}

// begin and end frame the counted time. The parent reads the server's counters
// within them.
func (c *client) begin(ops uint64) {
	c.fatal = c.event(eventBegin)
	c.user, c.system = processorTime(syscall.RUSAGE_SELF)
	c.ops, c.started = ops, time.Now()
}

func (c *client) end(ops uint64) {
	c.result.Wall = time.Since(c.started)
	c.result.Ops = ops - c.ops
	user, system := processorTime(syscall.RUSAGE_SELF)
	c.result.User, c.result.System = user-c.user, system-c.system
	if c.fatal == nil {
		c.fatal = c.event(eventEnd)
	}
}

func (c *client) dial(port string) (net.Conn, error) {
	return net.Dial("tcp4", net.JoinHostPort(c.request.Address, port))
}

// count lets a crew work.
func (c *client) count(crew *measure.Crew, closeAll func()) error {
	err := crew.Count(context.Background(), c.request.Duration, func() { c.begin(crew.Ops()) }, func() { c.end(crew.Ops()) })
	crew.Stop(closeAll)
	closeAll()
	l := crew.Latency()
	c.result.P50, c.result.P99 = l.Quantile(.50), l.Quantile(.99)
	return err
}

// each makes n connections and a worker for each.
func (c *client) each(n int, port string, step func(net.Conn) func() error) error {
	crew := &measure.Crew{Faults: &c.faults}
	var conns []net.Conn
	closeAll := func() {
		for _, conn := range conns {
			conn.Close() // twice, after a worker that hangs
		}
	}
	for range n {
		conn, err := c.dial(port)
		if err != nil {
			closeAll()
			return err
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		crew.Add(step(conn), false)
	}
	return c.count(crew, closeAll)
}

func (c *client) http(n int) error {
	return c.each(n, httpPort, func(conn net.Conn) func() error {
		buf := make([]byte, measure.ResponseSize)
		return func() error {
			if _, err := conn.Write(measure.GetKeepAlive); err != nil {
				return err
			}
			return measure.ReadResponse(conn, buf)
		}
	})
}

func (c *client) ping() error {
	return c.each(1, echoPort, func(conn net.Conn) func() error {
		b := make([]byte, 1)
		return func() error { return measure.RoundTrip(conn, b) }
	})
}

// connWorkers is how many connections are being made at a time.
const connWorkers = 16

func (c *client) conn() error {
	crew := &measure.Crew{Faults: &c.faults}
	for range connWorkers {
		buf := make([]byte, measure.ResponseSize)
		crew.Add(func() error {
			return measure.OneConnection(func() (net.Conn, error) { return c.dial(httpPort) }, buf)
		}, true)
	}
	return c.count(crew, func() {})
}

func (c *client) bulkIn() error {
	b := make([]byte, bulkWrite)
	return c.each(1, sinkPort, func(conn net.Conn) func() error {
		return func() error {
			_, err := conn.Write(b)
			return err
		}
	})
}

func (c *client) bulkOut() error {
	conn, err := c.dial(sourcePort)
	if err != nil {
		return err
	}
	defer conn.Close()
	var received uint64
	b := make([]byte, bulkRead)
	until := func(d time.Duration) error {
		for end := time.Now().Add(d); time.Now().Before(end); {
			n, err := conn.Read(b)
			received += uint64(n)
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := until(measure.WarmUp(c.request.Duration)); err != nil {
		return err
	}
	c.begin(received)
	err = until(c.request.Duration)
	c.end(received)
	return err
}

// datagramSize is what the udp workload sends: a small answer of a name server,
// or some samples of sound.
const datagramSize = 272

// udp sends as fast as it can.
func (c *client) udp() error {
	conn, err := net.Dial("udp4", net.JoinHostPort(c.request.Address, udpPort))
	if err != nil {
		return err
	}
	defer conn.Close()
	p := ipv4.NewPacketConn(conn.(net.PacketConn))
	batch := messages()
	for i := range batch {
		batch[i].Buffers[0] = batch[i].Buffers[0][:datagramSize]
	}
	var sent uint64
	until := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			n, err := p.WriteBatch(batch, 0)
			sent += uint64(max(n, 0))
			if err != nil {
				c.faults.Add(err)
				time.Sleep(time.Millisecond)
			}
		}
	}
	until(measure.WarmUp(c.request.Duration))
	c.begin(sent)
	until(c.request.Duration)
	c.end(sent)
	return nil
}

func (c *client) idle() error {
	time.Sleep(measure.WarmUp(c.request.Duration)) // what went before ends
	c.begin(0)
	time.Sleep(c.request.Duration)
	c.end(0)
	return nil
}

// wakePause is long enough for a server to fall asleep.
const wakePause = 20 * time.Millisecond

// wake sends an echo now and then.
func (c *client) wake() error {
	conn, err := c.dial(echoPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	h := &measure.Histogram{}
	b := make([]byte, 1)
	trip := func() error {
		time.Sleep(wakePause)
		start := time.Now()
		err := measure.RoundTrip(conn, b)
		h.Record(time.Since(start))
		return err
	}
	for range 3 {
		if err := trip(); err != nil {
			return err
		}
	}
	*h = measure.Histogram{}
	c.begin(0)
	n := uint64(max(c.request.Duration/wakePause, 5))
	for range n {
		if err := trip(); err != nil {
			return err
		}
	}
	time.Sleep(wakePause) // the acknowledgement of the latest is part of it
	c.end(n)
	c.result.P50, c.result.P99 = h.Quantile(.50), h.Quantile(.99)
	return nil
}
