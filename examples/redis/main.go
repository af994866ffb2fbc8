package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve serves on address until the listener fails.
func serve(address string) error {
	l, err := listen(address)
	if err != nil {
		return err
	}
	return newStore().serveClients(l)
}

// session is what the demonstration's client says.
var session = []string{
	"PING", "SET greeting hello", "GET greeting", "GET nothing", "INCR visits", "INCR visits",
	"INCR greeting", "DEL greeting visits", "DBSIZE", "FLY away",
}

// demo sends all commands of session, and then reads the replies: a pipeline.
func demo(client *fastnet.Network, out io.Writer) error {
	l, err := listen(wired.ServerIP + ":6379")
	if err != nil {
		return err
	}
	defer l.Close()
	go newStore().serveClients(l)

	c, err := client.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	for _, command := range session {
		if err := writeCommand(c, strings.Fields(command)...); err != nil {
			return err
		}
	}
	r := replies{r: c}
	for _, command := range session {
		reply, err := r.next()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v> %s\n%s\n", c.RemoteAddr(), command, reply)
	}
	return nil
}
