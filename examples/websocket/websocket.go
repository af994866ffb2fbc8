// Command websocket is a chat over WebSocket (RFC 6455): what one member says, all
// get. It is a module of its own, for the WebSocket library that it uses.
package main

import (
	"context"
	_ "embed"
	"sync"

	"github.com/coder/websocket"

	"github.com/fastnet-go/fastnet/fastnet/http"
)

//go:embed page.html
var page []byte

// newServer returns a server for one chat, and its page for browsers.
func newServer(address string) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	mux.Handle("GET /chat", &chat{members: make(map[*member]struct{})})
	return &http.Server{Addr: address, Handler: mux}
}

// chat is the members that are there.
type chat struct {
	mu      sync.Mutex
	members map[*member]struct{}
}

// member is one of a chat. What is for it waits in inbox, until it is too much or
// the member leaves: then leave is called.
type member struct {
	name  string
	inbox chan string
	leave context.CancelFunc
}

// inboxSize is how many messages may wait for a slow member.
const inboxSize = 64

// ServeHTTP is a member's stay: /chat?name=NAME.
func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		http.Error(w, "who is there? Say /chat?name=NAME", http.StatusBadRequest)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer conn.CloseNow()
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	m := &member{name: name, inbox: make(chan string, inboxSize), leave: leave}
	c.join(m)
	defer c.part(m)
	go m.deliver(ctx, conn)
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return
		}
		c.tell(name + ": " + string(text))
	}
}

// deliver sends what comes into the inbox.
func (m *member) deliver(ctx context.Context, conn *websocket.Conn) {
	defer m.leave()
	for {
		select {
		case text := <-m.inbox:
			if conn.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *chat) join(m *member) {
	c.mu.Lock()
	c.members[m] = struct{}{}
	c.mu.Unlock()
	c.tell(m.name + " has joined")
}

func (c *chat) part(m *member) {
	c.mu.Lock()
	delete(c.members, m)
	c.mu.Unlock()
	c.tell(m.name + " has left")
}

// tell puts text into all inboxes, in the same order for everybody. Nobody waits
// for a member who does not read.
func (c *chat) tell(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for m := range c.members {
		select {
		case m.inbox <- text:
		default:
			m.leave()
		}
	}
}
