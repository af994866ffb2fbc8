package main

import (
	"io"
	"strconv"

	"github.com/tidwall/redcon"
)

// writeCommand writes a command as an array of bulk strings.
func writeCommand(w io.Writer, args ...string) error {
	b := redcon.AppendArray(nil, len(args))
	for _, arg := range args {
		b = redcon.AppendBulkString(b, arg)
	}
	_, err := w.Write(b)
	return err
}

// replies reads the replies to commands.
type replies struct {
	r    io.Reader
	rest []byte // what has come after the last one
}

// next returns the next reply as redis-cli prints it.
func (r *replies) next() (string, error) {
	for b := make([]byte, 4096); ; {
		if n, reply := redcon.ReadNextRESP(r.rest); n > 0 {
			text := printed(reply)
			r.rest = r.rest[n:]
			return text, nil
		}
		n, err := r.r.Read(b)
		if err != nil {
			return "", err
		}
		r.rest = append(r.rest, b[:n]...)
	}
}

func printed(reply redcon.RESP) string {
	switch {
	case reply.Type == redcon.Error:
		return "(error) " + reply.String()
	case reply.Type == redcon.Integer:
		return "(integer) " + reply.String()
	case reply.Type == redcon.Bulk && reply.Data == nil:
		return "(nil)"
	case reply.Type == redcon.Bulk:
		return strconv.Quote(reply.String())
	}
	return reply.String()
}
