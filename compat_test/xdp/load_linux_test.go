package xdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// loadReport is what has been done under load, by the words that started it.
type loadReport struct {
	Done   map[string]int // by kind, and by KIND=WHERE
	Failed map[string]int
	Errors []string // the first few
}

// loader does things again and again until it is stopped.
type loader struct {
	stop chan struct{}
	all  sync.WaitGroup
	mu   sync.Mutex
	loadReport
}

const mostErrors = 10

// load: "start KIND=WHERE[*MANY] ..." begins with each, "look" says what is done,
// "stop" ends and says so. "COUNT KIND=WHERE" does it so often and ends.
func (p *agent) load(args []string) (string, error) {
	switch args[0] {
	case "start":
		if p.loader != nil {
			return "", errors.New("there is a load already")
		}
		p.loader = newLoader()
		for _, what := range args[1:] {
			many := 1
			if i := strings.LastIndexByte(what, '*'); i > 0 {
				var err error
				if many, err = strconv.Atoi(what[i+1:]); err != nil {
					return "", err
				}
				what = what[:i]
			}
			for range many {
				p.loader.all.Go(func() { p.loader.run(what, -1) })
			}
		}
		return "started", nil
	case "look":
		return p.loader.report()
	case "stop":
		close(p.loader.stop)
		p.loader.all.Wait()
		defer func() { p.loader = nil }()
		return p.loader.report()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	l := newLoader()
	for range 8 {
		l.all.Go(func() { l.run(args[1], n/8) })
	}
	l.all.Wait()
	return l.report()
}

func newLoader() *loader {
	return &loader{stop: make(chan struct{}), loadReport: loadReport{Done: map[string]int{}, Failed: map[string]int{}}}
}

func (l *loader) report() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, err := json.Marshal(l.loadReport)
	return string(text), err
}

// run does one thing n times, or until it is stopped.
func (l *loader) run(what string, n int) {
	kind, where, _ := strings.Cut(what, "=")
	do, end := action(kind, where)
	defer end()
	for i := 0; i != n; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		err := do()
		l.mu.Lock()
		if err == nil {
			l.Done[kind]++
			l.Done[what]++
		} else {
			l.Failed[kind]++
			if len(l.Errors) < mostErrors {
				l.Errors = append(l.Errors, fmt.Sprintf("%s at %s: %v", what, time.Now().Format("15:04:05.000"), err))
			}
		}
		l.mu.Unlock()
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// bulk is how much one transfer moves: more than a thousand packets.
const bulk = 2 << 20

// action returns what a kind of load does each time, and what to do at its end.
func action(kind, where string) (do func() error, end func()) {
	web := func(reuse bool) (*http.Client, func()) {
		t := &http.Transport{DialContext: (&net.Dialer{Timeout: patience}).DialContext, DisableKeepAlives: !reuse, DisableCompression: true}
		return &http.Client{Transport: t, Timeout: 2 * patience}, t.CloseIdleConnections
	}
	nothing := func() {}
	switch kind {
	case "conn", "keep", "kernel": // URL: a page each, by a new connection or by one; "kernel" by a new one
		c, end := web(kind == "keep")
		return func() error {
			b, err := get(c, where)
			if err == nil && !bytes.HasPrefix(b, []byte("hello ")) {
				err = fmt.Errorf("the page is %.40q", b)
			}
			if kind == "kernel" {
				time.Sleep(10 * time.Millisecond)
			}
			return err
		}, end
	case "down": // URL: data, compared
		c, end := web(true)
		return func() error {
			r, err := c.Get(fmt.Sprintf("%s/data/%d", where, bulk))
			if err != nil {
				return err
			}
			defer r.Body.Close()
			return same(r.Body, data(bulk))
		}, end
	case "up": // URL
		c, end := web(true)
		want := sumOf(bulk)
		return func() error {
			r, err := c.Post(where+"/sum", "application/octet-stream", data(bulk))
			if err != nil {
				return err
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err == nil && string(b) != want {
				err = fmt.Errorf("the sum of what came is %.80s", b)
			}
			return err
		}, end
	case "ping": // address of a TCP echo server: one connection
		var c net.Conn
		n := byte(0)
		return func() (err error) {
			if c == nil {
				if c, err = net.DialTimeout("tcp", where, patience); err != nil {
					c = nil
					return err
				}
			}
			n++
			if err = echoed(c, bytes.Repeat([]byte{n}, 64)); err != nil {
				c.Close()
				c = nil
			}
			return err
		}, func() { hangUp(c) }
	case "udp": // address of a UDP echo server; datagrams may be lost
		var c net.Conn
		return func() (err error) {
			if c == nil {
				if c, err = net.Dial("udp", where); err != nil {
					c = nil
					return err
				}
			}
			c.SetDeadline(time.Now().Add(time.Second))
			b := make([]byte, 3000) // in fragments
			if _, err = c.Write(b); err == nil {
				_, err = c.Read(b)
			}
			if e, ok := err.(net.Error); ok && e.Timeout() {
				err = nil
			}
			return err
		}, func() { hangUp(c) }
	case "abort": // address of any TCP server: leaves in the middle of things
		return func() error {
			c, err := net.DialTimeout("tcp", where, patience)
			if err != nil {
				return err
			}
			fmt.Fprintf(c, "GET /data/%d HTTP/1.1\r\nHost: x\r\n\r\n", bulk)
			io.ReadFull(c, make([]byte, 10000))
			if t, ok := c.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
			return c.Close()
		}, nothing
	}
	return func() error { return fmt.Errorf("no such load: %s", kind) }, nothing
}

func hangUp(c net.Conn) {
	if c != nil {
		c.Close()
	}
}

func echoed(c net.Conn, b []byte) error {
	c.SetDeadline(time.Now().Add(2 * patience))
	if _, err := c.Write(b); err != nil {
		return err
	}
	got := make([]byte, len(b))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, b) {
		return fmt.Errorf("the echo is %x", got)
	}
	return nil
}

func get(c *http.Client, url string) ([]byte, error) {
	r, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// same compares all bytes of two readers.
func same(got, want io.Reader) error {
	a, b := make([]byte, 32<<10), make([]byte, 32<<10)
	for at := 0; ; {
		n, err := io.ReadFull(want, b)
		m, gotErr := io.ReadFull(got, a[:n])
		if m < n {
			return fmt.Errorf("only %d bytes came: %w", at+m, gotErr)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return fmt.Errorf("what came is not what was sent, near byte %d", at)
		}
		if at += n; err != nil {
			if n, err := got.Read(a); n != 0 || err != io.EOF {
				return fmt.Errorf("more came than was sent: %d, %w", n, err)
			}
			return nil
		}
	}
}

// startLoad has the program begin with some kinds of load.
func (p *program) startLoad(what ...string) {
	p.t.Helper()
	p.must("load start %s", strings.Join(what, " "))
}

func (p *program) lookAtLoad() loadReport { p.t.Helper(); return decode[loadReport](p, "load look") }

// loadDoes waits until each kind of load has been done n times more.
func (p *program) loadDoes(n int, kinds ...string) {
	p.t.Helper()
	before := p.lookAtLoad()
	var now loadReport
	require.Eventually(p.t, func() bool {
		now = p.lookAtLoad()
		for _, k := range kinds {
			if now.Done[k] < before.Done[k]+n {
				return false
			}
		}
		return true
	}, hangs, 10*time.Millisecond, "%v: %+v", kinds, &now)
}

// stopLoad ends the load: nothing of it has failed.
func (p *program) stopLoad() loadReport {
	p.t.Helper()
	r := p.endLoad()
	require.Empty(p.t, r.Errors, "%+v", r)
	return r
}

func (p *program) endLoad() loadReport { p.t.Helper(); return decode[loadReport](p, "load stop") }
