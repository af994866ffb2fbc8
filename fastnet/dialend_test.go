package fastnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/stack"
)

// waysToEnd are how a program ends a dial. Each makes the dial's context and its
// Dialer so that it ends after d.
var waysToEnd = map[string]struct {
	begin   func(t *testing.T, d time.Duration) (context.Context, *Dialer)
	timeout bool
}{
	"a context that is cancelled": {func(t *testing.T, d time.Duration) (context.Context, *Dialer) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(d, cancel)
		return ctx, new(Dialer)
	}, false},
	"a context with a deadline": {func(t *testing.T, d time.Duration) (context.Context, *Dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx, new(Dialer)
	}, true},
	"Dialer.Timeout": {func(t *testing.T, d time.Duration) (context.Context, *Dialer) {
		return t.Context(), &Dialer{Timeout: d}
	}, true},
	"Dialer.Deadline": {func(t *testing.T, d time.Duration) (context.Context, *Dialer) {
		return t.Context(), &Dialer{Deadline: time.Now().Add(d)}
	}, true},
	"Dialer.Cancel": {func(t *testing.T, d time.Duration) (context.Context, *Dialer) {
		stop := make(chan struct{})
		time.AfterFunc(d, func() { close(stop) })
		return t.Context(), &Dialer{Cancel: stop}
	}, false},
}

// endsDial checks that a dial of each kind ends after exactly d of virtual time,
// with the error that package net has for it, and leaves no connection behind.
func endsDial(t *testing.T, l *lab, d time.Duration, dial func(ctx context.Context, d *Dialer) (net.Conn, error)) {
	t.Helper()
	for name, way := range waysToEnd {
		start := time.Now()
		ctx, dialer := way.begin(t, d)
		c, err := dial(ctx, dialer)
		require.True(t, c == nil, name)
		var op *net.OpError
		require.ErrorAs(t, err, &op, name)
		require.Equal(t, "dial", op.Op)
		require.Equal(t, d, time.Since(start), "%s: %v", name, err)
		require.Equal(t, way.timeout, op.Timeout(), "%s: %v", name, err)
		if !way.timeout {
			require.ErrorIs(t, err, context.Canceled, name)
		}
		require.Empty(t, l.client.Connections(), name)
		time.Sleep(5 * time.Minute) // what is left at the server times out
		require.Empty(t, l.server.Connections(), name)
	}
}

func TestDialEndsWhileAServerIsAskedForTheName(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		mute, err := l.server.ListenPacket("udp", ":53")
		require.NoError(t, err)
		defer mute.Close()
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return l.client.DialContext(ctx, network, serverIP+":53")
		}}
		for _, network := range []string{"tcp", "udp"} {
			endsDial(t, l, 3*time.Second, func(ctx context.Context, d *Dialer) (net.Conn, error) {
				d.Resolver = r
				return l.client.DialWith(ctx, d, network, "name.example:80")
			})
		}
	})
}

func TestDialEndsWhileTheNeighbourIsAskedFor(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		endsDial(t, l, 700*time.Millisecond, func(ctx context.Context, d *Dialer) (net.Conn, error) {
			return l.client.DialWith(ctx, d, "tcp", "10.0.0.99:80")
		})
	})
}

func TestDialEndsWhileTheSYNHasNoAnswer(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		full, err := l.server.Host().ListenTCP(netip.MustParseAddrPort(serverIP+":80"), stack.ListenOptions{Backlog: 1})
		require.NoError(t, err)
		defer full.Close()
		first, err := l.client.Dial("tcp", serverIP+":80")
		require.NoError(t, err)
		defer first.Close()
		for name, way := range waysToEnd {
			start := time.Now()
			ctx, d := way.begin(t, 20*time.Second)
			_, err := l.client.DialWith(ctx, d, "tcp", serverIP+":80")
			require.Equal(t, way.timeout, err.(net.Error).Timeout(), name)
			require.Equal(t, 20*time.Second, time.Since(start), name)
			require.Len(t, l.client.Connections(), 1, "the first alone")
		}
	})
}

// TestDialEndsInTheRaceOfAddresses: before the second address is tried, while
// both are, and while they are tried one after the other.
func TestDialEndsInTheRaceOfAddresses(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		for _, c := range []struct {
			after time.Duration
			delay time.Duration
		}{{100 * time.Millisecond, 0}, {400 * time.Millisecond, 0}, {700 * time.Millisecond, 0}, {500 * time.Millisecond, -1}, {300 * time.Millisecond, 0}} {
			endsDial(t, l, c.after, func(ctx context.Context, d *Dialer) (net.Conn, error) {
				d.Resolver = nameServer("10.0.0.98", "2001:db8::98", "10.0.0.99", "2001:db8::99")
				d.FallbackDelay = c.delay
				return l.client.DialWith(ctx, d, "tcp", "name.example:80")
			})
		}
	})
}

// distantLink has a round trip of 2 s.
var distantLink = &fault.Faults{Delay: time.Second}

// TestDialEndsInTheHandshake: the server has answered the SYN, and the client
// does not want it any more as the answer comes.
func TestDialEndsInTheHandshake(t *testing.T) {
	virtual(t, distantLink, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		learn(t, l, ln)
		for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
			endsDial(t, l, after, func(ctx context.Context, d *Dialer) (net.Conn, error) {
				return l.client.DialWith(ctx, d, "tcp", serverIP+":80")
			})
		}
		require.NoError(t, ln.(*TCPListener).SetDeadline(past))
		_, err = ln.Accept()
		require.Error(t, err)
	})
}

// learn makes a connection, so that the neighbours know each other.
func learn(t *testing.T, l *lab, ln net.Listener) {
	c, err := l.client.Dial("tcp", serverIP+":80")
	require.NoError(t, err)
	s, err := ln.Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = s.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, s.Close())
	time.Sleep(5 * time.Minute)
	require.Empty(t, l.client.Connections())
}

// TestDialThatEndsAsItSucceeds: around the moment at which the handshake is
// complete a dial has either a connection that works, or an error and nothing.
func TestDialThatEndsAsItSucceeds(t *testing.T) {
	virtual(t, distantLink, func(t *testing.T, l *lab) {
		ln, err := l.server.Listen("tcp", ":80")
		require.NoError(t, err)
		defer ln.Close()
		learn(t, l, ln)
		go echo(ln)
		won, lost := 0, 0
		for name, way := range waysToEnd {
			for off := -2 * time.Millisecond; off <= 6*time.Millisecond; off += 800 * time.Microsecond {
				ctx, d := way.begin(t, 2*time.Second+off)
				c, err := l.client.DialWith(ctx, d, "tcp", serverIP+":80")
				if err != nil {
					lost++
					require.True(t, c == nil, name)
					require.Empty(t, l.client.Connections(), name)
				} else {
					won++
					time.Sleep(time.Second) // the end comes now
					_, err = c.Write([]byte("x"))
					require.NoError(t, err, name)
					_, err = c.Read(make([]byte, 1))
					require.NoError(t, err, name)
					require.NoError(t, c.Close())
				}
				time.Sleep(10 * time.Minute)
				require.Empty(t, l.client.Connections(), fmt.Sprint(name, off))
				require.Empty(t, l.server.Connections(), fmt.Sprint(name, off))
			}
		}
		require.NotZero(t, won)
		require.NotZero(t, lost)
	})
}

// TestDialThatHasEndedDoesNothing: not a packet is sent.
func TestDialThatHasEndedDoesNothing(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		sent := l.wire.Port(0).Queues()[0].Stats().TxPackets
		_, err := l.client.DialContext(ctx, "tcp", "10.0.0.97:80")
		require.ErrorIs(t, err, context.Canceled)
		_, err = l.client.DialContext(ctx, "udp", "10.0.0.97:80")
		require.ErrorIs(t, err, context.Canceled)
		time.Sleep(time.Minute)
		require.Equal(t, sent, l.wire.Port(0).Queues()[0].Stats().TxPackets)
	})
}

// TestPortsOfEndedDialsAreFreeAgain: a port that an ended dial held can be dialled from at
// once.
func TestPortsOfEndedDialsAreFreeAgain(t *testing.T) {
	virtual(t, nil, func(t *testing.T, l *lab) {
		from := &net.TCPAddr{IP: net.ParseIP(clientIP), Port: 4321}
		for range 3 {
			start := time.Now()
			_, err := l.client.DialWith(t.Context(), &Dialer{LocalAddr: from, Timeout: 500 * time.Millisecond}, "tcp", "10.0.0.99:80")
			require.ErrorContains(t, err, "i/o timeout")
			require.Equal(t, 500*time.Millisecond, time.Since(start))
		}
		ln, err := l.client.Listen("tcp", from.String())
		require.NoError(t, err)
		ln.Close()
	})
}
