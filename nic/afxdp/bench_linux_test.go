package afxdp

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/stack"
)

// BenchmarkSend sends frames of 60 bytes to a peer that drops them, 64 at a
// time. On veth the peer's receiving is part of it: it happens within the kick.
func BenchmarkSend(b *testing.B) {
	l := newLab(b, 1)
	dev, err := Open(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(b, err)
	defer dev.Close()
	q := dev.queues[0]
	frame := l.frame(l.peer, l.ourMAC, "0123456789012345678901234567890123456789012345")
	var pkts [64]*nic.Packet
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	calls := q.calls.Load()
	b.ResetTimer()
	for sent := 0; sent < b.N; {
		n := 0
		for ; n < len(pkts) && sent+n < b.N; n++ {
			p := q.Alloc(len(frame))
			if p == nil {
				break
			}
			copy(p.Extend(len(frame)), frame)
			pkts[n] = p
		}
		sent += q.Send(pkts[:n])
		q.Kick()
	}
	b.ReportMetric(float64(q.calls.Load()-calls)/float64(b.N), "calls/op")
}

// BenchmarkReceive receives what a packet socket of the kernel's sends in a loop
// on another processor.
func BenchmarkReceive(b *testing.B) {
	l := newLab(b, 1)
	dev, err := Open(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(b, err)
	defer dev.Close()
	require.NoError(b, dev.Filter().SetAddresses([]Address{{ourIP, Exclusive}}))
	raw := l.raw()
	frame := l.udp(ourIP.As4(), 7, make([]byte, 18))
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_, _ = write(raw, frame)
		}
	}()
	q := dev.queues[0]
	var pkts [64]*nic.Packet
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	calls := q.calls.Load()
	b.ResetTimer()
	for got := 0; got < b.N; {
		n := q.Recv(pkts[:])
		for _, p := range pkts[:n] {
			p.Release()
		}
		if got += n; n == 0 {
			runtime.Gosched()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(q.calls.Load()-calls)/float64(b.N), "calls/op")
	stop.Store(true)
	<-done
}

// BenchmarkBetweenTwo sends from one device to another, each with a goroutine of
// its own.
func BenchmarkBetweenTwo(b *testing.B) {
	l := newLab(b, 1)
	from, err := Open(Config{Interface: theirs, NetNS: l.farNS})
	require.NoError(b, err)
	defer from.Close()
	to, err := Open(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(b, err)
	defer to.Close()
	require.NoError(b, to.Filter().SetAddresses([]Address{{ourIP, Exclusive}}))
	frame := l.udp(ourIP.As4(), 7, make([]byte, 18))
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		q := from.queues[0]
		var pkts [64]*nic.Packet
		for !stop.Load() {
			n := 0
			for ; n < len(pkts); n++ {
				p := q.Alloc(len(frame))
				if p == nil {
					break
				}
				copy(p.Extend(len(frame)), frame)
				pkts[n] = p
			}
			for _, p := range pkts[q.Send(pkts[:n]):n] {
				p.Release()
			}
			q.Kick()
			runtime.Gosched()
		}
	}()
	q := to.queues[0]
	var pkts [64]*nic.Packet
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	b.ResetTimer()
	for got := 0; got < b.N; {
		n := q.Recv(pkts[:])
		for _, p := range pkts[:n] {
			p.Release()
		}
		if got += n; n == 0 {
			runtime.Gosched()
		}
	}
	b.StopTimer()
	stop.Store(true)
	<-done
}

// BenchmarkWake receives a packet that comes when the queue sleeps, and answers.
func BenchmarkWake(b *testing.B) {
	l := newLab(b, 1)
	dev, err := Open(Config{Interface: ours, NetNS: l.nearNS})
	require.NoError(b, err)
	defer dev.Close()
	require.NoError(b, dev.Filter().SetAddresses([]Address{{ourIP, Exclusive}}))
	raw := l.raw()
	frame := l.udp(ourIP.As4(), 7, make([]byte, 18))
	q := dev.queues[0]
	woken := make(chan struct{}, 1)
	q.SetWake(func() { woken <- struct{}{} })
	asleep := make(chan struct{})
	defer close(asleep)
	go func() {
		for range asleep {
			_, _ = write(raw, frame)
		}
	}()
	var pkts [1]*nic.Packet
	b.ReportAllocs()
	calls := q.calls.Load()
	b.ResetTimer()
	for range b.N {
		if !q.Arm() {
			b.Fatal("a packet nobody has sent")
		}
		asleep <- struct{}{}
		<-woken
		if q.Recv(pkts[:]) != 1 {
			b.Fatal("woken for nothing")
		}
		copy(pkts[0].Bytes(), l.peer[:])
		if q.Send(pkts[:]) != 1 {
			b.Fatal("not sent")
		}
		q.Kick()
	}
	b.ReportMetric(float64(q.calls.Load()-calls)/float64(b.N), "calls/op")
}

// BenchmarkBulkIn is what a stack of ours reads from a kernel's socket.
func BenchmarkBulkIn(b *testing.B) {
	for name, attach := range map[string]Attach{"native": AttachNative, "generic": AttachGeneric} {
		b.Run(name, func(b *testing.B) {
			l := newLab(b, 1)
			s, _ := stackHost(b, l, Config{Attach: attach})
			listener, err := s.ListenTCP(netip.AddrPortFrom(stackIP, 7), stack.ListenOptions{})
			require.NoError(b, err)
			fd := l.kernelSocket(unix.AF_INET)
			require.NoError(b, connect(fd, &unix.SockaddrInet4{Addr: stackIP.As4(), Port: 7}))
			conn, err := listener.Accept()
			require.NoError(b, err)
			buf, got := make([]byte, 64<<10), make([]byte, 64<<10)
			b.SetBytes(int64(len(buf)))
			go func() {
				for range b.N {
					_, _ = file(fd).Write(buf)
				}
			}()
			b.ResetTimer()
			for want := b.N * len(buf); want > 0; {
				n, err := conn.Read(got)
				if err != nil {
					b.Fatal(err)
				}
				want -= n
			}
			b.StopTimer()
			_ = conn.Close()
		})
	}
}
