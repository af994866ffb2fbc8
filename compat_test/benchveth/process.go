package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// roleVariable makes this program one of the processes that are measured: a
// server, or the client.
const roleVariable = "BENCHVETH_ROLE"

// A process is a child of this program in a network namespace. It is asked by
// lines of JSON, and ends when its standard input does, so that none outlives
// this one.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	answer chan []byte // closed at its end
	stderr tail
}

// tail keeps what a process has written last. Safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text) - 4096; n > 0 {
		t.text = t.text[n:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// startProcess starts a child in namespace ns, which first says that it is
// ready.
func startProcess(ns, role string, env ...string) (*process, error) {
	p := &process{answer: make(chan []byte, 1)}
	p.cmd = exec.Command("ip", "netns", "exec", ns, fmt.Sprintf("/proc/%d/exe", os.Getpid()))
	p.cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.answer)
		in := bufio.NewReader(out)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			p.answer <- line
		}
	}()
	if err := p.receive(nil); err != nil {
		p.end()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return p, nil
}

// reply is a line of a process: what was asked for, an error, or the word that
// something is to happen before it goes on.
type reply struct {
	Event string          `json:"event,omitempty"`
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// patience is for machines that stop for a while.
const patience = 3 * time.Minute

// receive waits for an answer and puts it into v.
func (p *process) receive(v any) error {
	r, err := p.next()
	switch {
	case err != nil:
		return err
	case r.Event != "":
		return fmt.Errorf("the process says %q in place of an answer", r.Event)
	case v == nil:
		return nil
	}
	return json.Unmarshal(r.Value, v)
}

func (p *process) next() (r reply, err error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case line, ok := <-p.answer:
		if !ok {
			return r, fmt.Errorf("the process has ended: %s", p.stderr.String())
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return r, fmt.Errorf("%q: %w", line, err)
		}
	case <-t.C:
		return r, fmt.Errorf("no answer for %v: %s", patience, p.stderr.String())
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// tell sends a request.
func (p *process) tell(request any) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	_, err = p.in.Write(append(line, '\n'))
	return err
}

// ask sends a request and waits for the answer.
func (p *process) ask(request, answer any) error {
	if err := p.tell(request); err != nil {
		return err
	}
	return p.receive(answer)
}

// end lets the process end by itself, and else kills it.
func (p *process) end() {
	p.in.Close()
	done := make(chan struct{})
	go func() {
		for range p.answer {
		}
		_ = p.cmd.Wait() // how it ended tells nothing: it may have been killed
		close(done)
	}()
	if !measure.WaitFor(done) {
		p.cmd.Process.Kill()
		<-done
	}
}

// conversation is a process's side: requests on its standard input, answers on
// its standard output.
type conversation struct {
	in  *json.Decoder
	out *json.Encoder
}

// newConversation says that the process is ready. An interrupt from the
// terminal is the parent's to handle.
func newConversation() *conversation {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	c := &conversation{json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)}
	c.reply(struct{}{}, nil)
	return c
}

func (c *conversation) reply(v any, err error) {
	if err != nil {
		_ = c.out.Encode(reply{Error: err.Error()}) // a parent that is gone ends the input too
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		_ = c.out.Encode(reply{Error: err.Error()})
		return
	}
	_ = c.out.Encode(reply{Value: b})
}

// event tells the parent to do something, and waits until it has.
func (c *conversation) event(name string) error {
	if err := c.out.Encode(reply{Event: name}); err != nil {
		return err
	}
	return c.in.Decode(&struct{}{})
}
