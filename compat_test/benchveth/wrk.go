package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func installed(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// wrk measures with wrk(1), with one thread: it shares the machine with the
// server. What the server uses while wrk connects counts, as do the requests.
func (b *bench) wrk(ctx context.Context, server *serverOf, profile, end string) (s sample, err error) {
	seconds := max(1, int(b.o.Duration.Round(time.Second)/time.Second))
	from, err := server.read(profile)
	if err != nil {
		return s, err
	}
	limited, cancel := bound(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	cmd := exec.CommandContext(limited, "ip", "netns", "exec", b.rig.client, "wrk", "-t", "1", "-c", "64", "-d", fmt.Sprint(seconds), "--latency", "http://"+server.address+"/")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("wrk: %w: %s", err, out)
	}
	to, err := server.read(end)
	if err != nil {
		return s, err
	}
	if s, err = parseWrk(string(out)); err != nil {
		return s, err
	}
	s.fill(from, to)
	s.client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),`)
	wrkQuantile = regexp.MustCompile(`(?m)^\s*(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$`)
	wrkErrors   = regexp.MustCompile(`(?m)^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
)

// parseWrk reads what wrk prints.
func parseWrk(out string) (s sample, err error) {
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		return s, fmt.Errorf("wrk: no requests: %s", out)
	}
	if s.ops, err = strconv.ParseFloat(m[1], 64); err != nil {
		return s, err
	}
	if s.wall, err = time.ParseDuration(m[2] + m[3]); err != nil {
		return s, err
	}
	for _, q := range wrkQuantile.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(q[2] + q[3])
		if err != nil {
			return s, err
		}
		if q[1] == "50" {
			s.p50 = d
		} else {
			s.p99 = d
		}
	}
	if e := wrkErrors.FindString(out); e != "" {
		s.Errors, s.FirstError = 1, errors.New("wrk: "+strings.TrimSpace(e))
	}
	return s, nil
}

// trace counts all system calls of the server's process for each wake-up, the
// runtime's included: the futexes and epoll_waits by which its threads sleep.
func (b *bench) trace(ctx context.Context, server *serverOf) (perOp float64, err error) {
	dir, err := os.MkdirTemp("", "benchveth")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "strace")
	var cmd *exec.Cmd
	result, err := b.ask(ctx, "wake", server, func() error {
		cmd = exec.Command("strace", "-f", "-qq", "-c", "-o", file, "-p", strconv.Itoa(server.cmd.Process.Pid))
		if err := cmd.Start(); err != nil {
			return err
		}
		return attached(ctx, server.cmd.Process.Pid)
	}, func() error {
		if cmd.Process == nil {
			return nil // it has not started
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			return err
		}
		_ = cmd.Wait() // by the signal
		return nil
	})
	if err != nil {
		if cmd != nil && cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			_ = cmd.Wait()
		}
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := parseTotal(string(text))
	return n / float64(result.Ops), err
}

// attached waits until all threads of a process are traced.
func attached(ctx context.Context, pid int) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		all := true
		states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return err
		}
		for _, f := range states {
			text, err := os.ReadFile(f)
			if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
				all = false
			}
		}
		if all {
			return nil
		}
	}
	return fmt.Errorf("strace does not attach to process %d", pid)
}

// parseTotal finds the sum in a table of strace -c: the number of calls is the
// fourth column.
func parseTotal(text string) (float64, error) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 5 && f[len(f)-1] == "total" {
			return strconv.ParseFloat(f[3], 64)
		}
	}
	return 0, fmt.Errorf("strace: no total: %s", text)
}
