package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of what a client may send.
const (
	maxArgs = 1 << 10
	maxBulk = 1 << 20 // bytes
)

// protocolError is what is wrong with a client's bytes.
type protocolError string

func (e protocolError) Error() string { return string(e) }

// readCommand reads an array of bulk strings, or words on a line, as people type
// them.
func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := readLine(r)
	if err != nil || !strings.HasPrefix(line, "*") {
		return strings.Fields(line), err
	}
	count, err := length(line[1:], maxArgs, "invalid multibulk length")
	if err != nil {
		return nil, err
	}
	var args []string
	for range count {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		size, ok := strings.CutPrefix(line, "$")
		if !ok {
			return nil, protocolError(fmt.Sprintf("expected '$', got %.1q", line))
		}
		n, err := length(size, maxBulk, "invalid bulk length")
		if err != nil {
			return nil, err
		}
		b := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args = append(args, string(b[:n]))
	}
	return args, nil
}

func length(s string, limit int, what protocolError) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > limit {
		return 0, what
	}
	return n, nil
}

// readLine reads a line of at most the reader's buffer.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = protocolError("too big inline request")
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

// writeCommand writes a command as an array of bulk strings.
func writeCommand(w io.Writer, args ...string) error {
	text := fmt.Sprintf("*%d\r\n", len(args))
	for _, arg := range args {
		text += bulk(arg)
	}
	_, err := io.WriteString(w, text)
	return err
}

// readReply reads a reply to one of our commands and returns it as redis-cli
// prints it.
func readReply(r *bufio.Reader) (string, error) {
	line, err := readLine(r)
	if err != nil || line == "" {
		return "", err
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '-':
		return "(error) " + rest, nil
	case ':':
		return "(integer) " + rest, nil
	case '$':
		if rest == "-1" {
			return "(nil)", nil
		}
		n, err := length(rest, maxBulk, "invalid bulk length")
		if err != nil {
			return "", err
		}
		b := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(r, b)
		return strconv.Quote(string(b[:n])), err
	default:
		return rest, nil
	}
}
