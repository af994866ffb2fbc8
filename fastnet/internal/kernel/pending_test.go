package kernel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Unix(1000, 0)

// after is a moment of a test.
func after(d time.Duration) time.Time { return start.Add(d) }

func TestChangesAreReadWhenTheyPause(t *testing.T) {
	var p pending
	require.Zero(t, p.wait(start), "for ever")
	require.Zero(t, p.due(start, true))
	p.add(start, changes{link: true, routing: true})
	require.Equal(t, pause, p.wait(start))
	require.Zero(t, p.due(start, false))
	p.add(after(time.Millisecond), changes{routes: true})
	require.Equal(t, changes{true, true, true}, p.due(after(3*time.Millisecond), true))
	require.Zero(t, p.wait(after(3*time.Millisecond)))
}

func TestChangesThatDoNotPauseAreReadAllTheSame(t *testing.T) {
	var p pending
	for d := time.Duration(0); d < longest; d += time.Millisecond {
		p.add(after(d), changes{routing: true})
		require.Zero(t, p.due(after(d), false))
	}
	require.Equal(t, changes{routing: true}, p.due(after(longest), false))
}

// A long list is not asked for at each change of a route; addresses and the answers
// of the kernel's routes are not held up by that.
func TestListsOfRoutesRest(t *testing.T) {
	var p pending
	p.add(start, changes{routes: true})
	require.Equal(t, changes{routes: true}, p.due(start, true))
	p.listed(start, after(time.Second), true) // a million routes
	now := after(time.Second)
	rested := now.Add(routeRest * time.Second)
	p.add(now, changes{routes: true, routing: true})
	require.Equal(t, pause, p.wait(now))
	require.Equal(t, changes{routing: true}, p.due(now, true))
	require.Equal(t, routeRest*time.Second, p.wait(now))
	p.add(now, changes{link: true, routes: true})
	require.Equal(t, changes{link: true}, p.due(now, true))
	require.Zero(t, p.due(rested.Add(-1), true))
	require.Equal(t, changes{routes: true}, p.due(rested, true))

	p.listed(rested, rested.Add(time.Hour), false)
	now = rested.Add(time.Hour)
	require.Equal(t, maxRest, p.wait(now), "not all were seen")
	require.Equal(t, changes{routes: true}, p.due(now.Add(maxRest), true))
	require.Zero(t, p.wait(now.Add(maxRest)))
}

func TestWhatCannotBeReadIsReadAgain(t *testing.T) {
	var p pending
	p.add(start, changes{link: true})
	due := p.due(start, true)
	p.failed(start, due)
	require.Equal(t, retry, p.wait(start))
	require.Zero(t, p.due(start, true))
	require.Equal(t, changes{link: true}, p.due(after(retry), true))
}
