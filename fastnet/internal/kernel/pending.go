package kernel

import "time"

// Changes come in bursts, as one of an address with its routes. What they are about
// is read when they have paused for a moment, or have not for a longer one.
//
// Routes may be a million, and change all day: their list is followed by a rest,
// which is so many times as long as it took and so bounds what lists cost.
const (
	pause     = 2 * time.Millisecond
	longest   = 100 * time.Millisecond
	routeRest = 10
	maxRest   = 10 * time.Second
	retry     = 50 * time.Millisecond // after something could not be read
)

// changes is what may be another now.
type changes struct {
	link    bool // the interface and its addresses
	routes  bool // those through it
	routing bool // the kernel's answers to where a packet goes
}

// pending is what is to be read, and when.
type pending struct {
	changes
	since  time.Time // when the first of them came
	rested time.Time // routes are not listed before
	again  time.Time // nothing is read before
}

func (p *pending) add(now time.Time, c changes) {
	if c == (changes{}) {
		return
	}
	if p.changes == (changes{}) {
		p.since = now
	}
	p.link, p.routes, p.routing = p.link || c.link, p.routes || c.routes, p.routing || c.routing
}

// wait is how long to wait for more, 0 for ever.
func (p *pending) wait(now time.Time) time.Duration {
	wait := pause
	switch {
	case p.changes == (changes{}):
		return 0
	case p.changes == (changes{routes: true}):
		wait = max(wait, p.rested.Sub(now))
	}
	return max(wait, p.again.Sub(now))
}

// due returns what is to be read now, and takes it off. paused is whether nothing
// has come for a moment.
func (p *pending) due(now time.Time, paused bool) (due changes) {
	if !paused && now.Sub(p.since) < longest || now.Before(p.again) {
		return due
	}
	due = p.changes
	if now.Before(p.rested) {
		due.routes = false
	}
	p.changes = changes{routes: p.routes && !due.routes}
	p.since = now
	return due
}

// listed says that the routes were listed, if perhaps not all.
func (p *pending) listed(began, now time.Time, whole bool) {
	p.rested = now.Add(min(routeRest*now.Sub(began), maxRest))
	if !whole {
		p.add(now, changes{routes: true})
	}
}

// failed says that what was due could not be read.
func (p *pending) failed(now time.Time, due changes) {
	p.add(now, due)
	p.again = now.Add(retry)
}
