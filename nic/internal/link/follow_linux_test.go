package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/netlab"
	"github.com/fastnet-go/fastnet/nic"
)

// What was announced before Set was told the state, as when an interface was made and
// brought up, does not count.
func TestAnnouncementsOfThePastDoNotCount(t *testing.T) {
	netlab.NeedTools(t, "ip")
	ns := netlab.New(t)
	var f *Follower
	var n *Socket
	require.NoError(t, ns.Do(func() (err error) {
		if f, err = NewFollower(); err != nil {
			return err
		}
		n, err = Open()
		return err
	}))
	defer n.Close()
	ns.Shell(t, "ip link add fna mtu 2000 type veth peer name fnb; ip link set fna mtu 1400; ip link set fna mtu 1500; ip link set fnb up; ip link set fna up")
	s, err := n.Get("fna")
	require.NoError(t, err)
	require.Equal(t, nic.Link{Up: true, MTU: 1500}, s.Link())
	var seen []State
	f.Changed = func(s State) error { seen = append(seen, s); return nil }
	changes := make(chan nic.Link, 16)
	f.Notify(func(l nic.Link) { changes <- l })
	f.Set("test", s.Index, s.Link())
	require.NoError(t, f.Start())

	require.NoError(t, n.SetMTU(s.Index, 1300))
	select {
	case l := <-changes:
		require.Equal(t, nic.Link{Up: true, MTU: 1300}, l)
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	require.NoError(t, f.Close())
	for _, s := range seen {
		require.True(t, s.Up)
		require.LessOrEqual(t, s.MTU, 1500)
		require.NotEqual(t, 1400, s.MTU)
	}
}

// An interface that went between the look and the start is dead.
func TestAnInterfaceThatWentBeforeTheStart(t *testing.T) {
	netlab.NeedTools(t, "ip")
	ns := netlab.New(t)
	var f *Follower
	require.NoError(t, ns.Do(func() (err error) {
		f, err = NewFollower()
		return err
	}))
	ns.Shell(t, "ip link add fna type veth peer name fnb")
	var s State
	require.NoError(t, ns.Do(func() error {
		n, err := Open()
		if err != nil {
			return err
		}
		defer n.Close()
		s, err = n.Get("fna")
		return err
	}))
	f.Set("test", s.Index, s.Link())
	ns.Shell(t, "ip link delete fna")
	require.NoError(t, f.Start())
	require.Eventually(t, func() bool { return f.Link().Err != nil }, time.Minute, time.Millisecond)
	require.ErrorIs(t, f.Link().Err, unix.ENODEV)
	require.True(t, f.Dead())
	require.NoError(t, f.Close())
}

// A device that is being closed is not brought up again by an announcement.
func TestNothingIsHeardAfterMark(t *testing.T) {
	f, err := NewFollower()
	require.NoError(t, err)
	defer f.Close()
	up := make([]byte, unix.SizeofIfInfomsg)
	ne.PutUint32(up[4:], 7)
	ne.PutUint32(up[8:], unix.IFF_UP|unix.IFF_LOWER_UP)
	heard := 0
	f.Set("a driver: eth7", 7, nic.Link{})
	f.Changed = func(s State) error {
		require.True(t, s.Up)
		heard++
		return nil
	}
	f.announced(unix.RTM_NEWLINK, up)
	require.Equal(t, 1, heard)
	require.True(t, f.Link().Up)
	require.NoError(t, f.Mark())
	f.announced(unix.RTM_NEWLINK, up)
	require.Equal(t, 1, heard)
	require.False(t, f.Link().Up)
}
