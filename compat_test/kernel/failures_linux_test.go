package kernel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
)

// within fails the test if a call of ours is stuck, and returns its error.
func within(t *testing.T, what string, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		t.Fatalf("%s is stuck", what)
		return nil
	}
}

// call runs f beside the test.
func call(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

// The interface vanishes under transfers: every call on our side that waits
// for it ends with an error, and so do those that come later.
func TestDeletedInterface(t *testing.T) {
	forEachRole(t, plain, func(t *testing.T, r *roles) {
		r.dead = true
		ours, theirs := r.connect(t)
		idle, _ := r.connect(t)
		if r.server == end(r.ours) {
			ours, theirs = theirs, ours
			_, idle = r.connect(t)
		}
		on := netip.AddrPortFrom(r.family.ours.Addr(), 9000)
		listener := r.ours.listen(t, on)
		packets := r.ours.listenPacket(t, on)
		anyPackets := r.ours.listenPacket(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 9001))
		connected := r.ours.dialPacket(t, netip.AddrPortFrom(r.family.kernel.Addr(), 9))

		var g sync.WaitGroup
		g.Go(func() { // the kernel's end sends and receives until it is closed
			b := make([]byte, 64<<10)
			for {
				if _, err := theirs.Write(b); err != nil {
					return
				}
			}
		})
		waiting := map[string]<-chan error{
			"Read under a transfer": call(func() error {
				b := make([]byte, 64<<10)
				for {
					if _, err := ours.Read(b); err != nil {
						return err
					}
				}
			}),
			"Write": call(func() error {
				b := make([]byte, 64<<10)
				for {
					if _, err := ours.Write(b); err != nil {
						return err
					}
				}
			}),
			"Accept": call(func() error {
				_, err := listener.Accept()
				return err
			}),
			"ReadFrom": call(func() error {
				_, _, err := packets.ReadFrom(make([]byte, 10))
				return err
			}),
			"ReadFrom of a wildcard": call(func() error {
				_, _, err := anyPackets.ReadFrom(make([]byte, 10))
				return err
			}),
			"Read": call(func() error {
				_, err := idle.Read(make([]byte, 10))
				return err
			}),
			"Read of a connected UDP socket": call(func() error {
				_, err := connected.Read(make([]byte, 10))
				return err
			}),
		}
		time.Sleep(100 * time.Millisecond) // all are under way
		r.ns.deleteLink(r.name)
		for what, result := range waiting {
			err := within(t, what, result)
			require.Error(t, err, what)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, what)
		}
		_, err := ours.Read(make([]byte, 10))
		require.Error(t, err)
		_, err = ours.Write(make([]byte, 10))
		require.Error(t, err)
		_, err = r.ours.dial(context.Background(), netip.AddrPortFrom(r.family.kernel.Addr(), 8080))
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, _, err = packets.ReadFrom(make([]byte, 10))
		require.ErrorIs(t, err, syscall.ENETDOWN)
		_, err = listener.Accept()
		require.ErrorIs(t, err, syscall.ENETDOWN)
		theirs.SetLinger(0)
		theirs.Close()
		g.Wait()
		for _, c := range []interface{ Close() error }{ours, listener, packets, anyPackets, connected} {
			require.NoError(t, c.Close())
		}
	})
}

// A link that goes down and comes up again costs time, and no byte.
func TestLinkDownAndUp(t *testing.T) {
	links := []link{plain[0], plain[1]}
	for i := range links {
		// Else the kernel forgets its IPv6 addresses.
		links[i].sysctl = map[string]string{"net/ipv6/conf/default/keep_addr_on_down": "1"}
	}
	forEachRole(t, links, func(t *testing.T, r *roles) {
		client, server := r.connect(t)
		size := r.scaled(32<<20, 16<<20, 0)
		done := make(chan error, 2)
		go func() { done <- transfer(client, server, 1, size) }()
		go func() { done <- transfer(server, client, 2, size) }()
		for range r.scaled(2, 1, 1) {
			time.Sleep(10 * time.Millisecond)
			r.ns.setUp(r.name, false)
			time.Sleep(100 * time.Millisecond)
			r.ns.setUp(r.name, true)
		}
		require.NoError(t, within(t, "a transfer", done))
		require.NoError(t, within(t, "a transfer", done))
	})
}

// While the link is down deadlines work, and keep-alive probes find out.
func TestPeerThatIsGone(t *testing.T) {
	for i, f := range families {
		t.Run(f.name, func(t *testing.T) {
			if testing.Short() && i > 0 {
				t.Skip("it takes seconds: without -short")
			}
			r := newRoles(t, plain[0], f, false)
			ours, _ := r.connect(t)
			c := ours.(*fastnet.TCPConn)
			r.ns.setUp(r.name, false)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}))
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err = c.Read(make([]byte, 1))
			require.True(t, errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH), "%v", err)
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			_, err = r.client.dial(ctx, r.address)
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
		})
	}
}

// Nobody has the address: both stacks say so, instead of waiting for as long as
// for a lost SYN.
func TestNobodyAtTheAddress(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds: without -short")
	}
	r := newRig(t, plain[0])
	var g sync.WaitGroup
	for _, e := range []end{r.kernel, r.ours} {
		for _, to := range []string{"10.177.0.99", "fd77::99"} {
			g.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				_, err := e.dial(ctx, netip.AddrPortFrom(netip.MustParseAddr(to), 80))
				if !errors.Is(err, syscall.EHOSTUNREACH) {
					t.Errorf("%s to %s: %v", e.name(), to, err)
				}
			})
		}
	}
	g.Wait()
}
