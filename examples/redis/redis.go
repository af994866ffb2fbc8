// Command redis is a key-value server that speaks the Redis protocol (RESP 2), with
// a client: redis-cli is another one.
package main

import (
	"bufio"
	"strconv"
	"strings"
	"sync"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// listen takes address.
func listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// store is what all connections share.
type store struct {
	mu     sync.Mutex
	values map[string]string
}

func newStore() *store { return &store{values: make(map[string]string)} }

// serveClients serves the commands of each connection, until l is closed.
func (s *store) serveClients(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go s.serveClient(c)
	}
}

// serveClient serves one connection. Commands that came together are answered
// together: a client may send many before it reads.
func (s *store) serveClient(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		args, err := readCommand(r)
		if err != nil {
			if why, ok := err.(protocolError); ok {
				w.WriteString("-ERR Protocol error: " + string(why) + "\r\n")
				w.Flush()
			}
			return
		}
		if len(args) == 0 {
			continue
		}
		w.WriteString(s.do(strings.ToUpper(args[0]), args[1:]))
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		if strings.EqualFold(args[0], "QUIT") {
			w.Flush()
			return
		}
	}
}

// commands are the numbers of arguments, at the least and at the most.
var commands = map[string]struct{ min, max int }{
	"PING": {0, 1}, "ECHO": {1, 1}, "QUIT": {0, 0}, "COMMAND": {0, maxArgs}, "DBSIZE": {0, 0},
	"SET": {2, 2}, "GET": {1, 1}, "DEL": {1, maxArgs}, "EXISTS": {1, maxArgs}, "INCR": {1, 1},
}

// do runs a command and returns its reply.
func (s *store) do(name string, args []string) string {
	allowed, ok := commands[name]
	switch {
	case !ok:
		return failure("unknown command " + strconv.Quote(name))
	case len(args) < allowed.min || len(args) > allowed.max:
		return failure("wrong number of arguments for '" + strings.ToLower(name) + "' command")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case "PING":
		if len(args) == 0 {
			return "+PONG\r\n"
		}
		return bulk(args[0])
	case "ECHO":
		return bulk(args[0])
	case "COMMAND":
		return "*0\r\n" // redis-cli asks for hints
	case "DBSIZE":
		return integer(len(s.values))
	case "SET":
		s.values[args[0]] = args[1]
	case "GET":
		value, ok := s.values[args[0]]
		if !ok {
			return "$-1\r\n"
		}
		return bulk(value)
	case "DEL", "EXISTS":
		count := 0
		for _, key := range args {
			if _, ok := s.values[key]; ok {
				count++
				if name == "DEL" {
					delete(s.values, key)
				}
			}
		}
		return integer(count)
	case "INCR":
		n := 0
		if value, ok := s.values[args[0]]; ok {
			var err error
			if n, err = strconv.Atoi(value); err != nil {
				return failure("value is not an integer or out of range")
			}
		}
		s.values[args[0]] = strconv.Itoa(n + 1)
		return integer(n + 1)
	}
	return "+OK\r\n"
}

func failure(why string) string { return "-ERR " + why + "\r\n" }
func integer(n int) string      { return ":" + strconv.Itoa(n) + "\r\n" }
func bulk(s string) string      { return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n" }
