package dialer

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// lateNames answers for each family after a time.
type lateNames map[string]lateAnswer

type lateAnswer struct {
	after time.Duration
	addrs []netip.Addr
	err   error
}

func (n lateNames) LookupNetIP(ctx context.Context, network, _ string) ([]netip.Addr, error) {
	a := n[network]
	select {
	case <-time.After(a.after):
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var (
	errNoName  = errors.New("no such host")
	errServers = errors.New("server misbehaving")
)

func isNoName(err error) bool { return err == errNoName }

// A dial begins with IPv6 as soon as that answers, with IPv4 a resolution delay later
// (RFC 8305 section 3).
func TestLookupWaitsForIPv6ALittle(t *testing.T) {
	v4, v6 := []netip.Addr{netip.MustParseAddr("192.0.2.1")}, []netip.Addr{netip.MustParseAddr("2001:db8::1")}
	both := []netip.Addr{v6[0], v4[0]}
	mapped := []netip.Addr{netip.AddrFrom16(v4[0].As16())}
	for _, c := range []struct {
		name      string
		six, four lateAnswer
		at        time.Duration
		want      []netip.Addr
		rest      []netip.Addr
		restAt    time.Duration
		err       error
	}{
		{"IPv6 first", lateAnswer{10 * ms, v6, nil}, lateAnswer{30 * ms, mapped, nil}, 10 * ms, v6, v4, 30 * ms, nil},
		{"IPv4 first, IPv6 in the delay", lateAnswer{40 * ms, v6, nil}, lateAnswer{0, v4, nil}, 40 * ms, both, nil, 0, nil},
		{"IPv4 first, IPv6 after the delay", lateAnswer{90 * ms, v6, nil}, lateAnswer{10 * ms, v4, nil}, 60 * ms, v4, v6, 90 * ms, nil},
		{"IPv4 first, IPv6 fails in the delay", lateAnswer{20 * ms, nil, errNoName}, lateAnswer{0, v4, nil}, 20 * ms, v4, nil, 0, nil},
		{"IPv4 first, IPv6 fails after the delay", lateAnswer{200 * ms, nil, errServers}, lateAnswer{0, v4, nil}, 50 * ms, v4, nil, 200 * ms, nil},
		{"IPv6 has none", lateAnswer{0, nil, nil}, lateAnswer{300 * ms, v4, nil}, 300 * ms, v4, nil, 0, nil},
		{"IPv6 fails", lateAnswer{0, nil, errServers}, lateAnswer{300 * ms, v4, nil}, 300 * ms, v4, nil, 0, nil},
		{"IPv4 fails", lateAnswer{300 * ms, v6, nil}, lateAnswer{0, nil, errNoName}, 300 * ms, v6, nil, 0, nil},
		{"both fail", lateAnswer{10 * ms, nil, errServers}, lateAnswer{20 * ms, nil, errServers}, 20 * ms, nil, nil, 0, errServers},
		{"no such name", lateAnswer{20 * ms, nil, errNoName}, lateAnswer{0, nil, errNoName}, 20 * ms, nil, nil, 0, errNoName},
		{"no such name by IPv4, no answer by IPv6", lateAnswer{20 * ms, nil, errServers}, lateAnswer{0, nil, errNoName}, 20 * ms, nil, nil, 0, errServers},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				addrs, rest, err := Lookup(t.Context(), lateNames{"ip6": c.six, "ip4": c.four}, "name", isNoName)
				require.Equal(t, c.err, err)
				require.Equal(t, c.want, addrs)
				require.Equal(t, c.at, time.Since(begun))
				require.Equal(t, c.restAt != 0, rest != nil)
				if rest != nil {
					require.Equal(t, c.rest, rest())
					require.Equal(t, c.restAt, time.Since(begun))
				}
			})
		})
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		never := lateAnswer{after: time.Hour}
		_, _, err := Lookup(ctx, lateNames{"ip6": never, "ip4": never}, "name", isNoName)
		require.Equal(t, context.DeadlineExceeded, err)

		_, rest, err := Lookup(t.Context(), lateNames{"ip6": {0, []netip.Addr{netip.IPv6Loopback()}, nil}, "ip4": {after: time.Minute}}, "name", isNoName)
		require.NoError(t, err)
		require.Empty(t, rest())
	})
}

// late gives a Race more addresses after a time.
func late(after time.Duration, addrs ...string) More[string] {
	c := make(chan []string, 1)
	go func() {
		time.Sleep(after)
		c <- addrs
	}()
	return More[string]{C: c, Insert: func(last string, left, batch []string) []string {
		return Weave(last, left, batch, func(a string) bool { return a[0] == '4' })
	}}
}

func (l *lab) raceMore(ctx context.Context, more More[string], addrs ...string) (string, error) {
	return Race(ctx, addrs, more, 300*ms, l.attempt(make(chan struct{}, 1)), func(c string) { l.discarded = append(l.discarded, c) })
}

// Addresses that come late take turns with those that are left.
func TestLateAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := peer{after: time.Hour}
		l := newLab(map[string]peer{"4a": silent, "4b": silent, "4c": silent, "6a": silent, "6b": {after: ms}})
		c, err := l.raceMore(t.Context(), late(100*ms, "6a", "6b"), "4a", "4b", "4c")
		require.NoError(t, err)
		require.Equal(t, "6b", c)
		require.Equal(t, map[string]time.Duration{"4a": 0, "6a": 300 * ms, "4b": 600 * ms, "6b": 900 * ms}, l.begun)
	})
}

// If nothing else is left to try they are tried at once, unless the last attempt has
// time left.
func TestLateAddressesAreTriedWhenTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(map[string]peer{"4a": {after: 10 * ms, err: errRefused}, "6a": {after: ms}})
		c, err := l.raceMore(t.Context(), late(700*ms, "6a"), "4a")
		require.NoError(t, err)
		require.Equal(t, "6a", c)
		require.Equal(t, 700*ms, l.begun["6a"], "the first has failed")

		l = newLab(map[string]peer{"4a": {after: time.Hour}, "6a": {after: ms}})
		_, err = l.raceMore(t.Context(), late(700*ms, "6a"), "4a")
		require.NoError(t, err)
		require.Equal(t, 700*ms, l.begun["6a"], "the first has had its time")

		l = newLab(map[string]peer{"4a": {after: time.Hour}, "6a": {after: ms}})
		_, err = l.raceMore(t.Context(), late(100*ms, "6a"), "4a")
		require.NoError(t, err)
		require.Equal(t, 300*ms, l.begun["6a"])
	})
}

// A Race whose addresses have failed waits for more, until there are none or its
// context ends; its error is the first address's still.
func TestRaceWaitsForLateAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := errors.New("unreachable")
		l := newLab(map[string]peer{"4a": {err: errRefused}, "6a": {err: other}})
		_, err := l.raceMore(t.Context(), late(100*ms, "6a"), "4a")
		require.Equal(t, errRefused, err)
		require.Equal(t, 100*ms, l.begun["6a"])

		l = newLab(map[string]peer{"4a": {err: errRefused}})
		_, err = l.raceMore(t.Context(), late(100*ms), "4a")
		require.Equal(t, errRefused, err)
		require.Equal(t, 100*ms, time.Since(l.origin))

		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		l = newLab(map[string]peer{"4a": {err: errRefused}})
		_, err = l.raceMore(ctx, late(100*ms, "6a"), "4a")
		require.Equal(t, errRefused, err)
		require.NotContains(t, l.begun, "6a")

		l = newLab(map[string]peer{"4a": {after: 20 * ms}})
		_, err = l.raceMore(t.Context(), late(100*ms, "6a"), "4a")
		require.NoError(t, err)
		require.Equal(t, 20*ms, time.Since(l.origin), "who has won does not wait")
		synctest.Wait()
		time.Sleep(time.Second)
	})
}
