package bubble

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInside(t *testing.T) {
	require.False(t, Inside())
	synctest.Test(t, func(t *testing.T) {
		require.True(t, Inside())
		done := make(chan bool)
		go func() { done <- Inside() }()
		require.True(t, <-done)
	})
}

func TestTimeIsTheWorldsInABubbleToo(t *testing.T) {
	before := Time()
	synctest.Test(t, func(t *testing.T) {
		inside := Time()
		require.GreaterOrEqual(t, inside, before)
		require.Less(t, inside, before+time.Hour)
		time.Sleep(24 * time.Hour)
		require.Less(t, Time(), inside+time.Hour)
	})
	require.GreaterOrEqual(t, Time(), before)
}
