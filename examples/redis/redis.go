// Command redis is a key-value server that speaks the Redis protocol, with a client:
// redis-cli is another one. It is a module of its own, for the library that it uses.
package main

import (
	"strconv"
	"strings"
	"sync"

	"github.com/tidwall/redcon"

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
	return redcon.Serve(l, s.do, nil, nil)
}

// commands are the numbers of arguments, at the least and at the most.
var commands = map[string]struct{ min, max int }{
	"PING": {0, 1}, "ECHO": {1, 1}, "QUIT": {0, 0}, "COMMAND": {0, maxArgs}, "DBSIZE": {0, 0},
	"SET": {2, 2}, "GET": {1, 1}, "DEL": {1, maxArgs}, "EXISTS": {1, maxArgs}, "INCR": {1, 1},
}

const maxArgs = 1 << 20

// do runs a command and replies.
func (s *store) do(c redcon.Conn, cmd redcon.Command) {
	name := strings.ToUpper(string(cmd.Args[0]))
	var args []string
	for _, arg := range cmd.Args[1:] {
		args = append(args, string(arg))
	}
	allowed, ok := commands[name]
	switch {
	case !ok:
		c.WriteError("ERR unknown command " + strconv.Quote(name))
		return
	case len(args) < allowed.min || len(args) > allowed.max:
		c.WriteError("ERR wrong number of arguments for '" + strings.ToLower(name) + "' command")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case "PING":
		if len(args) == 0 {
			c.WriteString("PONG")
			return
		}
		c.WriteBulkString(args[0])
	case "ECHO":
		c.WriteBulkString(args[0])
	case "QUIT":
		c.WriteString("OK")
		c.Close()
	case "COMMAND":
		c.WriteArray(0) // redis-cli asks for hints
	case "DBSIZE":
		c.WriteInt(len(s.values))
	case "SET":
		s.values[args[0]] = args[1]
		c.WriteString("OK")
	case "GET":
		if value, ok := s.values[args[0]]; ok {
			c.WriteBulkString(value)
		} else {
			c.WriteNull()
		}
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
		c.WriteInt(count)
	case "INCR":
		n := 0
		if value, ok := s.values[args[0]]; ok {
			var err error
			if n, err = strconv.Atoi(value); err != nil {
				c.WriteError("ERR value is not an integer or out of range")
				return
			}
		}
		s.values[args[0]] = strconv.Itoa(n + 1)
		c.WriteInt(n + 1)
	}
}
