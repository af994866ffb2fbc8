package dialer

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFamiliesTakeTurns(t *testing.T) {
	is4 := func(s string) bool { return s[0] == '4' }
	for in, want := range map[string]string{
		"6a":                "6a",
		"4a 6a":             "4a 6a",
		"6a 6b 4a":          "6a 4a 6b",
		"6a 6b 6c 4a":       "6a 4a 6b 6c",
		"4a 4b 6a 6b 6c 6d": "4a 6a 4b 6b 6c 6d",
		"4a 4b 4c":          "4a 4b 4c",
	} {
		require.Equal(t, strings.Fields(want), Interleave(strings.Fields(in), is4), in)
	}
}

// names is a resolver.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	if a := n[network+" "+host]; a != nil {
		return a, nil
	}
	return nil, errors.New("no such host")
}

func TestResolve(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	mapped := netip.AddrFrom16(v4.As16())
	r := names{"ip both": {v6, mapped}, "ip4 both": {mapped}, "ip6 both": {v6}}
	for _, c := range []struct {
		network, host string
		want          []netip.Addr
	}{
		{"tcp", "both", []netip.Addr{v6, v4}},
		{"tcp4", "both", []netip.Addr{v4}},
		{"tcp6", "both", []netip.Addr{v6}},
		{"tcp", "192.0.2.1", []netip.Addr{v4}},
		{"tcp", "::ffff:192.0.2.1", []netip.Addr{v4}},
		{"tcp6", "192.0.2.1", nil},
		{"tcp4", "2001:db8::1", nil},
		{"udp", "fe80::1%eth0", []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}},
	} {
		got, err := Resolve(t.Context(), r, c.network, c.host)
		require.NoError(t, err)
		require.Equal(t, c.want, got, c.network+" "+c.host)
	}
	_, err := Resolve(t.Context(), r, "tcp", "nobody")
	require.EqualError(t, err, "no such host")
}

func TestContextEndsAtTheEarliest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		parent, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		for _, c := range []struct {
			timeout  time.Duration
			deadline time.Time
			want     time.Duration
		}{
			{0, time.Time{}, 5 * time.Second},
			{2 * time.Second, time.Time{}, 2 * time.Second},
			{9 * time.Second, time.Time{}, 5 * time.Second},
			{2 * time.Second, now.Add(time.Second), time.Second},
			{-1, time.Time{}, -1},
		} {
			ctx, cancel := Context(parent, c.timeout, c.deadline, nil)
			d, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, c.want, d.Sub(now))
			cancel()
		}
	})
}

func TestContextEndsByTheOldCancelChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan struct{})
		ctx, cancel := Context(t.Context(), 0, time.Time{}, c)
		defer cancel()
		require.NoError(t, ctx.Err())
		close(c)
		<-ctx.Done()
		require.Equal(t, context.Canceled, ctx.Err())
	})
}
