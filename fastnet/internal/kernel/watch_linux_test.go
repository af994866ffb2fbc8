package kernel

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whatever changes around an interface, somebody looks again; where nothing does,
// nobody.
func TestAWatchSeesChanges(t *testing.T) {
	l := newLab(t)
	looks := make(chan struct{}, 1000)
	w := NewWatch(func() { looks <- struct{}{} })
	defer w.Close()
	drain := func() {
		for {
			select {
			case <-looks:
			case <-time.After(250 * time.Millisecond):
				return
			}
		}
	}
	drain()
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"a bridge", func() error { l.ip("link add br0 type bridge"); return nil }},
		{"its port", func() error { l.ip("link set eth0 master br0"); return nil }},
		{"an address elsewhere", func() error { l.ip("addr add 10.77.0.1/24 dev lo"); return nil }},
		{"queues", func() error { return l.try("ethtool", "-L", "eth0", "rx", "2") }},
		{"offloads", func() error { return l.try("ethtool", "-K", "eth0", "rxvlan", "off") }},
		{"rules", func() error { return l.try("nft", "add table ip f") }},
	} {
		if err := c.do(); err != nil {
			t.Logf("not to be had here: %s: %v", c.what, err)
			continue
		}
		select {
		case <-looks:
		case <-time.After(patience):
			t.Fatalf("%s: not seen", c.what)
		}
		drain()
	}
	require.NoError(t, w.Close())
	drain() // of what was late
	l.ip("link del br0")
	require.Never(t, func() bool { return len(looks) > 0 }, 300*time.Millisecond, 50*time.Millisecond)
}

func TestRxQueues(t *testing.T) {
	l := newLab(t)
	n, parameter := RxQueues("eth0")
	if n == 0 {
		t.Skip("veth has no channels before Linux 5.11")
	}
	require.Equal(t, 1, n)
	require.Contains(t, []string{"rx", "combined"}, parameter)
	if err := l.try("ethtool", "-L", "eth0", parameter, "2"); err != nil {
		t.Skip(err)
	}
	n, _ = RxQueues("eth0")
	require.Equal(t, 2, n)
	n, _ = RxQueues("nothing")
	require.Zero(t, n)
}

// try is run of what may fail.
func (l *lab) try(name string, args ...string) error {
	return exec.Command("ip", append([]string{"netns", "exec", l.name, name}, args...)...).Run()
}
