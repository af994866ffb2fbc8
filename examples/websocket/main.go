package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve serves on address until the listener fails.
func serve(address string) error { return newServer(address).ListenAndServe() }

// demo is a chat of two.
func demo(client *fastnet.Network, out io.Writer) error {
	l, err := fastnet.Listen("tcp", wired.ServerIP+":80")
	if err != nil {
		return err
	}
	server := newServer("")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() { server.Close(); <-ended }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann, err := join(ctx, client, "ann")
	if err != nil {
		return err
	}
	defer ann.conn.CloseNow()
	ann.hear(ctx, out)
	bob, err := join(ctx, client, "bob")
	if err != nil {
		return err
	}
	defer bob.conn.CloseNow()
	both := func() { ann.hear(ctx, out); bob.hear(ctx, out) }
	both()
	ann.say(ctx, "hello, bob")
	both()
	bob.say(ctx, "hello, ann")
	both()
	ann.conn.Close(websocket.StatusNormalClosure, "")
	bob.hear(ctx, out)
	return errors.Join(ann.err, bob.err)
}

// guest is a member's end of the connection, and its first error.
type guest struct {
	name string
	conn *websocket.Conn
	err  error
}

func join(ctx context.Context, client *fastnet.Network, name string) (*guest, error) {
	dialer := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
	url := "ws://" + wired.ServerIP + "/chat?name=" + name
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: dialer})
	return &guest{name: name, conn: conn}, err
}

func (g *guest) say(ctx context.Context, text string) {
	g.err = errors.Join(g.err, g.conn.Write(ctx, websocket.MessageText, []byte(text)))
}

// hear writes the next message.
func (g *guest) hear(ctx context.Context, out io.Writer) {
	_, text, err := g.conn.Read(ctx)
	g.err = errors.Join(g.err, err)
	fmt.Fprintf(out, "(to %s) %s\n", g.name, text)
}
