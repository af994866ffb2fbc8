package bubble

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOutsideMakesWhatBothSidesMayUse(t *testing.T) {
	require.False(t, Inside())
	ran := false
	Outside(func() { ran = true })
	require.True(t, ran)
	synctest.Test(t, func(t *testing.T) {
		require.True(t, Inside())
		var ch chan int
		start := time.Now()
		Outside(func() {
			require.False(t, Inside())
			ch = make(chan int)
			go func() { ch <- 1 }() // which would end the process, were the channel the bubble's
		})
		require.Equal(t, 1, <-ch)
		require.Equal(t, start, time.Now(), "time does not pass")
	})
}

func TestOutsideIsForManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		n := 0
		for range 100 {
			wg.Go(func() {
				Outside(func() {
					mu.Lock()
					n++
					mu.Unlock()
				})
			})
		}
		wg.Wait()
		require.Equal(t, 100, n)
	})
}
