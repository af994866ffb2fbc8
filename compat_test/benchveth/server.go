package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
	"github.com/fastnet-go/fastnet/fastnet"
)

// The ports of a server.
const (
	httpPort   = "80"
	echoPort   = "7"
	sinkPort   = "9"
	sourcePort = "19"
	udpPort    = "5000"
)

// A network is what a server's sockets come from.
type network interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// kernelNetwork is package net, with its defaults.
type kernelNetwork struct{}

func (kernelNetwork) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

func (kernelNetwork) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

// A reading is the state of a server's counters.
type reading struct {
	At           time.Time     `json:"at"`
	User, System time.Duration // processor time
	Received     uint64        // bytes of the sink
	Datagrams    uint64
	OnStack      bool // the numbers below are the stack's device's
	Packets      uint64
	Calls        uint64 // system calls for packets
	Wakes        uint64
	Dropped      uint64
}

// serverRequest asks a server for a reading. Before it a profile may be begun,
// after it ended: the name of its file, or "end".
type serverRequest struct {
	Profile string `json:"profile,omitempty"`
}

// A server answers on all ports at once.
type server struct {
	stack     *fastnet.Network // nil: the kernel's
	received  atomic.Uint64
	datagrams atomic.Uint64
	profile   *os.File
}

// runServer is the process of a server. Its environment has what fastnet is to
// use, or nothing for package net.
func runServer(config string) error {
	s := &server{}
	var n network = kernelNetwork{}
	if config != "" {
		cfg, err := fastnet.ParseConfig(config)
		if err != nil {
			return err
		}
		cfg.Require = true // a fall back to the kernel would be measured as ours
		if s.stack, err = fastnet.New(cfg); err != nil {
			return err
		}
		defer s.stack.Close()
		n = s.stack
	}
	var f measure.Faults
	l, err := n.Listen("tcp4", "0.0.0.0:"+httpPort)
	if err != nil {
		return err
	}
	defer measure.ServeHTTP(l, &f)()
	for port, serve := range map[string]func(net.Conn){echoPort: echo, sinkPort: s.sink, sourcePort: source} {
		l, err := n.Listen("tcp4", "0.0.0.0:"+port)
		if err != nil {
			return err
		}
		defer l.Close()
		go accept(l, serve)
	}
	u, err := n.ListenPacket("udp4", "0.0.0.0:"+udpPort)
	if err != nil {
		return err
	}
	defer u.Close()
	if s.stack == nil {
		go s.receiveMany(u)
	} else {
		go s.receive(u)
	}
	c := newConversation()
	for {
		var q serverRequest
		if err := c.in.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var err error
		if q.Profile != "" && q.Profile != "end" {
			err = s.beginProfile(q.Profile)
		}
		r := s.read()
		if q.Profile == "end" {
			err = s.endProfile()
		}
		c.reply(r, err)
	}
}

func (s *server) read() reading {
	r := reading{Received: s.received.Load(), Datagrams: s.datagrams.Load()}
	if s.stack != nil {
		d := s.stack.Stats().Device
		r.OnStack, r.Packets, r.Calls, r.Wakes, r.Dropped = true, d.RxPackets+d.TxPackets, d.Calls, d.Wakes, d.RxDropped
	}
	r.User, r.System = processorTime(syscall.RUSAGE_SELF)
	r.At = time.Now()
	return r
}

// processorTime is what the process, or its ended children, have used.
func processorTime(who int) (user, system time.Duration) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

func (s *server) beginProfile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	s.profile = f
	return pprof.StartCPUProfile(f)
}

func (s *server) endProfile() error {
	pprof.StopCPUProfile()
	return s.profile.Close()
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// echo sends back what it receives. A failure shows at the client.
func echo(c net.Conn) {
	b := make([]byte, 64)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// bulkWrite and bulkRead are the bytes of a Write and of a Read.
const (
	bulkWrite = 64 << 10
	bulkRead  = 128 << 10
)

func (s *server) sink(c net.Conn) {
	b := make([]byte, bulkRead)
	for {
		n, err := c.Read(b)
		s.received.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

func source(c net.Conn) {
	b := make([]byte, bulkWrite)
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// udpBatch is how many datagrams a recvmmsg(2) or sendmmsg(2) moves at most.
const udpBatch = 64

// receiveMany is the kernel's way to take many datagrams at a time.
func (s *server) receiveMany(u net.PacketConn) {
	c := ipv4.NewPacketConn(u)
	batch := messages()
	for {
		n, err := c.ReadBatch(batch, 0)
		if err != nil {
			return
		}
		s.datagrams.Add(uint64(n))
	}
}

// receive takes one at a time, which on the stack is no system call.
func (s *server) receive(u net.PacketConn) {
	c := u.(*fastnet.UDPConn)
	b := make([]byte, 2048)
	for {
		if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
			return
		}
		s.datagrams.Add(1)
	}
}

func messages() []ipv4.Message {
	batch := make([]ipv4.Message, udpBatch)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, 2048)}
	}
	return batch
}

// serverOf is a server's process with its row's address.
type serverOf struct {
	*process
	address string
}

// read asks for a reading.
func (s *serverOf) read(profile string) (r reading, err error) {
	err = s.ask(serverRequest{Profile: profile}, &r)
	if err != nil {
		err = fmt.Errorf("server: %w", err)
	}
	return r, err
}

// bound limits how long a context lasts beyond what is expected.
func bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d+patience)
}
