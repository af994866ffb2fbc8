package dialer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// peer is an address that answers, or fails, after a time.
type peer struct {
	after time.Duration
	err   error
}

// lab records what Race and Serial do, in virtual time.
type lab struct {
	origin    time.Time
	peers     map[string]peer
	begun     map[string]time.Duration
	cancelled map[string]time.Duration
	discarded []string
}

func newLab(peers map[string]peer) *lab {
	return &lab{origin: time.Now(), peers: peers, begun: map[string]time.Duration{}, cancelled: map[string]time.Duration{}}
}

func (l *lab) attempt(mu chan struct{}) Attempt[string, string] {
	return func(ctx context.Context, addr string) (string, error) {
		mu <- struct{}{}
		l.begun[addr] = time.Since(l.origin)
		<-mu
		p := l.peers[addr]
		select {
		case <-time.After(p.after):
			return addr, p.err
		case <-ctx.Done():
			mu <- struct{}{}
			l.cancelled[addr] = time.Since(l.origin)
			<-mu
			return "", ctx.Err()
		}
	}
}

func (l *lab) race(ctx context.Context, delay time.Duration, addrs ...string) (string, error) {
	return Race(ctx, addrs, More[string]{}, delay, l.attempt(make(chan struct{}, 1)), func(c string) { l.discarded = append(l.discarded, c) })
}

var errRefused = errors.New("refused")

const ms = time.Millisecond

func TestFirstAddressThatAnswersWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(map[string]peer{"a": {after: 100 * ms}, "b": {}})
		c, err := l.race(t.Context(), 300*ms, "a", "b")
		require.NoError(t, err)
		require.Equal(t, "a", c)
		require.NotContains(t, l.begun, "b")
	})
}

func TestSilentAddressLosesToTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(map[string]peer{"a": {after: time.Hour}, "b": {after: 50 * ms}, "c": {}})
		c, err := l.race(t.Context(), 300*ms, "a", "b", "c")
		require.NoError(t, err)
		require.Equal(t, "b", c)
		require.Equal(t, map[string]time.Duration{"a": 0, "b": 300 * ms}, l.begun)
		require.Equal(t, map[string]time.Duration{"a": 350 * ms}, l.cancelled)
	})
}

func TestFailureStartsTheNextAttemptAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(map[string]peer{"a": {after: 10 * ms, err: errRefused}, "b": {after: 5 * ms, err: errRefused}, "c": {after: ms}})
		c, err := l.race(t.Context(), 300*ms, "a", "b", "c")
		require.NoError(t, err)
		require.Equal(t, "c", c)
		require.Equal(t, map[string]time.Duration{"a": 0, "b": 10 * ms, "c": 15 * ms}, l.begun)
	})
}

func TestFailureOfAnOlderAttemptDoesNotHurryTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(map[string]peer{"a": {after: 350 * ms, err: errRefused}, "b": {after: time.Hour}, "c": {}})
		c, err := l.race(t.Context(), 300*ms, "a", "b", "c")
		require.NoError(t, err)
		require.Equal(t, "c", c)
		require.Equal(t, 600*ms, l.begun["c"])
	})
}

func TestErrorIsThatOfTheFirstAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := errors.New("unreachable")
		l := newLab(map[string]peer{"a": {after: 500 * ms, err: errRefused}, "b": {err: other}})
		_, err := l.race(t.Context(), 300*ms, "a", "b")
		require.Equal(t, errRefused, err)
	})
}

func TestEndOfContextEndsAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 700*ms)
		defer cancel()
		l := newLab(map[string]peer{"a": {after: time.Hour}, "b": {after: time.Hour}, "c": {after: time.Hour}, "d": {}})
		_, err := l.race(ctx, 300*ms, "a", "b", "c", "d")
		require.Equal(t, context.DeadlineExceeded, err)
		require.Equal(t, 700*ms, time.Since(l.origin))
		require.Len(t, l.cancelled, 3)
		require.NotContains(t, l.begun, "d")
	})
}

func TestSecondConnectionIsDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Both attempts ignore their context and succeed.
		slow := func(ctx context.Context, addr string) (string, error) {
			time.Sleep(400 * ms)
			return addr, nil
		}
		var discarded []string
		c, err := Race(t.Context(), []string{"a", "b"}, More[string]{}, 300*ms, slow, func(c string) { discarded = append(discarded, c) })
		require.NoError(t, err)
		require.Equal(t, "a", c)
		require.Equal(t, []string{"b"}, discarded)
	})
}

func TestSerialDividesTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		l := newLab(map[string]peer{"a": {after: time.Hour}, "b": {after: time.Hour}, "c": {after: time.Second}})
		c, err := Serial(ctx, []string{"a", "b", "c"}, l.attempt(make(chan struct{}, 1)), nil)
		require.NoError(t, err)
		require.Equal(t, "c", c)
		require.Equal(t, map[string]time.Duration{"a": 0, "b": 4 * time.Second, "c": 8 * time.Second}, l.begun)
	})
}

func TestSerialReportsTheEndOfItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Serial(ctx, []string{"a"}, newLab(nil).attempt(nil), func(addr string, err error) error {
		return errors.Join(errors.New(addr), err)
	})
	require.EqualError(t, err, "a\ncontext canceled")
}

func TestShare(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		left time.Duration
		n    int
		want time.Duration
	}{
		{12 * time.Second, 3, 4 * time.Second},
		{3 * time.Second, 3, 2 * time.Second}, // the least, at the expense of the last
		{time.Second, 3, time.Second},
	} {
		got, ok := Share(now, now.Add(c.left), c.n)
		require.True(t, ok)
		require.Equal(t, c.want, got.Sub(now))
	}
	_, ok := Share(now, now, 1)
	require.False(t, ok)
}
