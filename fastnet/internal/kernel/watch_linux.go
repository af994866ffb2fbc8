package kernel

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch has somebody look again when something around an interface may have
// changed that a Follower does not tell of: who its master is and which VLANs it
// has, its queues and offloads, the addresses of other interfaces, the rules of
// nftables. Rules of iptables' own tables are not announced by the kernel.
type Watch struct {
	look    func()
	sources []*os.File
	ring    chan struct{}
	done    chan struct{}
	closed  sync.Once
	wg      sync.WaitGroup
}

// A look comes when the announcements have paused, but not for ever. It may be
// dear, as where there are thousands of interfaces or rules, so it is followed by a
// rest that is so many times as long.
const (
	watchPause = 100 * time.Millisecond
	watchRest  = 20
)

// NewWatch watches the calling thread's network namespace. look is called from a
// goroutine of the Watch, for the first time at once. What cannot be watched on
// this system is not.
func NewWatch(look func()) *Watch {
	w := &Watch{look: look, ring: make(chan struct{}, 1), done: make(chan struct{})}
	w.add(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	w.add(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if group, err := ethtoolGroup(); err == nil { // Linux 5.6
		w.add(unix.NETLINK_GENERIC, group)
	}
	for _, s := range w.sources {
		w.wg.Go(func() { w.listen(s) })
	}
	w.wg.Go(w.run)
	return w
}

// ethtoolGroup returns the group that ethtool's changes are announced to
// (Documentation/networking/ethtool-netlink.rst).
func ethtoolGroup() (int, error) {
	h, err := netlink.NewHandle(unix.NETLINK_GENERIC)
	if err != nil {
		return 0, err
	}
	defer h.Close()
	family, err := h.GenlFamilyGet("ethtool")
	if err != nil {
		return 0, err
	}
	for _, g := range family.Groups {
		if g.Name == "monitor" {
			return int(g.ID), nil
		}
	}
	return 0, unix.ENOENT
}

// add subscribes to groups of a netlink protocol, if the kernel has them.
func (w *Watch) add(protocol int, groups ...int) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, g := range groups {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g))
	}
	if err != nil {
		unix.Close(fd)
		return
	}
	w.sources = append(w.sources, os.NewFile(uintptr(fd), "netlink"))
}

// listen rings at each announcement. What it says does not matter, nor that some
// are lost (ENOBUFS).
func (w *Watch) listen(source *os.File) {
	var b [256]byte
	for {
		_, err := source.Read(b[:])
		if errors.Is(err, os.ErrClosed) {
			return
		}
		select {
		case w.ring <- struct{}{}:
		default:
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !w.sleep(time.Second) {
			return
		}
	}
}

func (w *Watch) run() {
	for {
		began := time.Now()
		w.look()
		if !w.sleep(watchRest * time.Since(began)) {
			return
		}
		select {
		case <-w.done:
			return
		case <-w.ring:
		}
		if !w.sleep(watchPause) {
			return
		}
		select { // what came meanwhile is seen by this look
		case <-w.ring:
		default:
		}
	}
}

// sleep reports whether the Watch was not closed meanwhile.
func (w *Watch) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.done:
		return false
	case <-t.C:
		return true
	}
}

// Close ends the looks: none is under way when it has returned. The function that
// looks must not call it.
func (w *Watch) Close() error {
	w.closed.Do(func() {
		close(w.done)
		for _, s := range w.sources {
			s.Close()
		}
		w.wg.Wait()
	})
	return nil
}
