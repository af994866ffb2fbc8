package steer

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// fake is a filter and a stack.
type fake struct {
	mu      sync.Mutex
	ports   map[afxdp.Port]bool
	flows   map[afxdp.Flow]bool
	room    int // for flows
	alive   map[afxdp.Flow]bool
	log     []string
	except  map[afxdp.Flow]bool
	theirs  []afxdp.Flow  // the kernel's
	late    []afxdp.Flow  // and those that it gets while the port is added
	mute    error         // of who asks the kernel
	held    bool          // resets
	removed func()        // called by RemoveFlow
	block   chan struct{} // if not nil, AddFlow and RemoveFlow wait for it
}

func newFake() *fake {
	return &fake{ports: map[afxdp.Port]bool{}, flows: map[afxdp.Flow]bool{}, alive: map[afxdp.Flow]bool{}, except: map[afxdp.Flow]bool{}, room: 100}
}

func (f *fake) change(what string, fn func()) error {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, what)
	fn()
	return nil
}

func (f *fake) AddPort(p afxdp.Port) error {
	return f.change("+port", func() { f.ports[p] = true; f.theirs = append(f.theirs, f.late...) })
}
func (f *fake) RemovePort(p afxdp.Port) error {
	return f.change("-port", func() { delete(f.ports, p) })
}
func (f *fake) AddFlow(w afxdp.Flow) (err error) {
	f.change("+flow", func() {
		if len(f.flows) == f.room {
			err = errors.New("full")
			return
		}
		f.flows[w] = true
	})
	return err
}
func (f *fake) RemoveFlow(w afxdp.Flow) error {
	return f.change("-flow", func() {
		delete(f.flows, w)
		delete(f.except, w)
		if f.removed != nil {
			f.removed()
		}
	})
}
func (f *fake) ExceptFlow(w afxdp.Flow) error {
	return f.change("except", func() { f.except[w] = true })
}
func (f *fake) HoldResets(d time.Duration) { f.held = d > 0 }

func (f *fake) kernels(port uint16) (all []afxdp.Flow, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.theirs {
		if w.Local.Port() == port {
			all = append(all, w)
		}
	}
	return all, f.mute
}

func (f *fake) HasTCPFlow(l, r netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alive[afxdp.Flow{Protocol: TCP, Local: l, Remote: r}]
}

func (f *fake) TCPFlows(port uint16, visit func(l, r netip.AddrPort)) {
	f.mu.Lock()
	var all []afxdp.Flow
	for w := range f.alive {
		all = append(all, w)
	}
	f.mu.Unlock()
	for _, w := range all {
		if port == 0 || w.Local.Port() == port {
			visit(w.Local, w.Remote)
		}
	}
}

func (f *fake) set(w afxdp.Flow, alive bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.alive, w); alive {
		f.alive[w] = true
	}
}

func (f *fake) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flows)
}

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ports)
}

func flow(local, remote string) afxdp.Flow {
	return afxdp.Flow{Protocol: TCP, Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote)}
}

var (
	web  = afxdp.Port{Protocol: TCP, Port: 443}
	one  = flow("10.0.0.1:443", "10.0.0.2:1000")
	two  = flow("10.0.0.1:443", "10.0.0.2:1001")
	dial = flow("10.0.0.1:40000", "10.0.0.2:80")
)

// A dialled connection has its entry before it begins, and until its TIME-WAIT is
// over.
func TestADialledConnectionHasAnEntryUntilNothingIsLeftOfIt(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.Hold(dial))
		require.Equal(t, 1, f.taken())
		f.set(dial, true)
		s.Release(dial)
		s.Ended(one.Local, one.Remote, true) // another one
		time.Sleep(time.Minute)
		require.Equal(t, 1, f.taken())
		f.set(dial, false)
		s.Ended(dial.Local, dial.Remote, true)
		synctest.Wait()
		require.Zero(t, f.taken())
		require.Zero(t, s.Flows())
	})
}

// The tuple of a connection in TIME-WAIT is dialled again: that the old one ends
// meanwhile does not take the entry from the new one.
func TestATupleThatIsUsedAgainKeepsItsEntry(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.Hold(dial))
		f.set(dial, true)
		s.Release(dial)
		require.NoError(t, s.Hold(dial)) // the second dial
		f.set(dial, false)
		s.Ended(dial.Local, dial.Remote, true) // the first one's TIME-WAIT
		f.set(dial, true)
		s.Release(dial)
		time.Sleep(time.Minute)
		require.Equal(t, 1, f.taken())
		f.set(dial, false)
		s.Ended(dial.Local, dial.Remote, true)
		synctest.Wait()
		require.Zero(t, f.taken())
	})
}

func TestAConnectedUDPSocketHasAnEntryWhileItIsHeld(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		u := dial
		u.Protocol = UDP
		require.NoError(t, s.Hold(u))
		require.Equal(t, 1, f.taken())
		s.Release(u)
		synctest.Wait()
		require.Zero(t, f.taken())
	})
}

// When a listener closes its connections have entries before the port is gone, and
// those that began while they were made too.
func TestConnectionsOutliveTheirListener(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.OpenPort(web))
		f.set(one, true)
		s.ClosePort(web, func() { f.set(two, true) })
		require.Zero(t, f.open())
		require.Equal(t, map[afxdp.Flow]bool{one: true, two: true}, f.flows)
		require.Equal(t, []string{"+port", "+flow", "+flow", "-port"}, f.log)
		for _, w := range []afxdp.Flow{one, two} {
			f.set(w, false)
			s.Ended(w.Local, w.Remote, true)
		}
		synctest.Wait()
		require.Zero(t, f.taken())
	})
}

func TestOnlyThePortsOwnConnectionsGetEntries(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		p := afxdp.Port{Protocol: TCP, Addr: netip.MustParseAddr("10.0.0.9"), Port: 443}
		require.NoError(t, s.OpenPort(p))
		f.set(one, true)
		f.set(dial, true)
		s.ClosePort(p, func() {})
		require.Zero(t, f.open())
		require.Zero(t, f.taken())
	})
}

func TestAPortIsTakenWhileAnybodyListens(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.OpenPort(web))
		require.NoError(t, s.OpenPort(web))
		s.ClosePort(web, func() { t.Fatal("the other listener goes on") })
		require.Equal(t, 1, f.open())
		s.ClosePort(web, func() {})
		require.Zero(t, f.open())
	})
}

// Where the filter is full the port stays until there is room.
func TestAPortWhoseConnectionsFindNoRoomStays(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.room = 1
		require.NoError(t, s.OpenPort(web))
		f.set(one, true)
		f.set(two, true)
		s.ClosePort(web, func() {})
		require.Equal(t, 1, f.open())
		require.Error(t, s.Hold(dial))
		var kept afxdp.Flow
		for w := range f.flows {
			kept = w
		}
		f.set(kept, false)
		s.Ended(kept.Local, kept.Remote, true)
		synctest.Wait()
		require.True(t, f.open() == 0 && f.taken() == 1)
	})
}

// Ended is called by who polls the network: it returns while a system call is
// under way.
func TestEndedNeverWaits(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		require.NoError(t, s.Hold(dial))
		require.NoError(t, s.Hold(one))
		s.Release(one)
		synctest.Wait()
		f.block = make(chan struct{})
		go s.Hold(two)
		synctest.Wait() // it is in the system call
		for range 1000 {
			s.Ended(dial.Local, dial.Remote, true)
		}
		require.False(t, f.takes(two), "still under way")
		close(f.block)
	})
}

func TestPortsOpenBeforeTheFilterIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := New(nil, f, nil)
		defer s.Close()
		require.NoError(t, s.OpenPort(web))
		require.ErrorIs(t, s.Hold(dial), ErrNoFilter)
		require.NoError(t, s.SetFilter(f))
		require.Equal(t, 1, f.open())
		require.NoError(t, s.Hold(dial))
	})
}

// Connections that the kernel has on a port stay its own, those too that it makes
// as the port is added, until they end or the port is given back.
func TestTheKernelsConnectionsStayItsOwn(t *testing.T) {
	inTime(t, func(t *testing.T, s *Steering, f *fake) {
		f.theirs, f.late = []afxdp.Flow{one, dial}, []afxdp.Flow{two}
		require.NoError(t, s.OpenPort(web))
		require.Equal(t, []string{"except", "+port", "except"}, f.log)
		require.Equal(t, map[afxdp.Flow]bool{one: true, two: true}, f.except)
		require.True(t, f.held)
		three := flow("10.0.0.1:443", "10.0.0.2:1002")
		f.mu.Lock()
		f.theirs = append(f.theirs, three)
		f.mu.Unlock()
		f.mu.Lock()
		f.mute = errors.New("no descriptor left")
		f.mu.Unlock()
		s.settleExceptions() // does not count
		f.mu.Lock()
		f.mute = nil
		f.mu.Unlock()
		s.settleExceptions() // its SYN had waited
		require.True(t, f.held)
		require.Equal(t, map[afxdp.Flow]bool{one: true, two: true, three: true}, f.except)
		s.settleExceptions()
		require.False(t, f.held)
		f.mu.Lock()
		f.theirs = append(f.theirs, flow("10.0.0.1:443", "10.0.0.2:1003"))
		f.mu.Unlock()
		s.settleExceptions()
		require.Len(t, f.except, 3, "nobody looks for ever")
		f.mu.Lock()
		f.theirs, f.mute = nil, errors.New("no descriptor left")
		f.mu.Unlock()
		s.settleExceptions()
		require.Len(t, f.except, 3, "nobody knows whether they have ended")
		f.mu.Lock()
		f.theirs, f.mute = []afxdp.Flow{two}, nil
		f.mu.Unlock()
		s.settleExceptions()
		require.Equal(t, map[afxdp.Flow]bool{two: true}, f.except)
		s.ClosePort(web, func() {})
		require.Empty(t, f.except)
		require.True(t, f.held, "what is on its way still")
	})
}
