package afxdp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
)

// A queue that was armed twice, as when the poller wakes for a timer in between,
// has its waiter on the bell once more while packets are received. However long
// that takes, the next packet after the next Arm wakes the stack.
func TestArmedQueueWakesAfterItWasArmedTwice(t *testing.T) {
	l := newLab(t, 1)
	h := l.open(Config{})
	h.exclusive()
	q, fd := h.dev.queues[0], l.raw()
	woken := make(chan struct{}, 64)
	receive := func() (n int) {
		var one [1]*nic.Packet
		for q.Recv(one[:]) == 1 {
			one[0].Release()
			n++
		}
		return n
	}
	q.SetWake(func() {
		receive() // before the waiter looks again
		woken <- struct{}{}
	})
	frame := l.udp(ourIP.As4(), 7, []byte("x"))
	arrive := func() {
		_, err := write(fd, frame)
		require.NoError(t, err)
	}
	waited := func() { // the waiter has taken the word to wait
		require.Eventually(t, func() bool { return len(q.sleep) == 0 }, patience, time.Millisecond)
	}
	wakes := func() {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(patience):
			t.Fatal("a packet has come and nobody was woken")
		}
	}
	arm := func() {
		for !q.Arm() {
			receive()
		}
	}
	arm()
	waited()
	arm() // again
	arrive()
	wakes()
	waited()
	time.Sleep(10 * time.Millisecond) // it is on the bell, or not
	q.bell.deafen()                   // as Recv does after many bursts
	arm()
	arrive()
	wakes()
}
