package main

import (
	"fmt"
	"io"
	"time"
)

// How often the line of counters is written: over the last one on a terminal,
// below it elsewhere.
const (
	refreshTime = time.Second
	logTime     = 10 * time.Second
)

// report writes a line of counters now and then.
type report struct{ quit, done chan struct{} }

func startReport(h *hosts, w io.Writer, terminal bool) *report {
	r := &report{make(chan struct{}), make(chan struct{})}
	every, begin, end := logTime, "", "\n"
	if terminal {
		// To the line's beginning, and clear what the last one left.
		every, begin, end = refreshTime, "\r", "\x1b[K"
	}
	go func() {
		defer close(r.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		last := h.status("")
		for {
			select {
			case <-r.quit:
				if terminal {
					fmt.Fprintln(w)
				}
				return
			case <-tick.C:
			}
			now := h.status("")
			fmt.Fprint(w, begin, line(last, now), end)
			last = now
		}
	}()
	return r
}

// stop ends the report.
func (r *report) stop() {
	close(r.quit)
	<-r.done
}

// line tells in less than 80 columns what happened from one status to the next.
func line(last, now status) string {
	seconds := max(now.Seconds-last.Seconds, 0.001)
	rate := func(a, b uint64) float64 { return float64(b-a) / seconds }
	s := fmt.Sprintf("%d requests, %d open; %s/%s packets/s, %sB/s in/out; %d sent again",
		now.Requests, len(now.Connections),
		amount(rate(last.Server.RxPackets, now.Server.RxPackets)), amount(rate(last.Server.TxPackets, now.Server.TxPackets)),
		amount(rate(last.Server.RxBytes, now.Server.RxBytes))+"/"+amount(rate(last.Server.TxBytes, now.Server.TxBytes)),
		now.resent())
	if now.Lost > 0 {
		s += fmt.Sprintf(", %d lost", now.Lost)
	}
	return s
}

// resent is how many segments both ends sent again.
func (s *status) resent() uint64 {
	n := s.Server.Retransmits
	if s.Gateway != nil {
		n += s.Gateway.Retransmits
	}
	return n
}

// amount writes a number of three digits and its prefix: 0, 12, 3.4k, 340k.
func amount(x float64) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G"} {
		if x < 999.5 {
			break
		}
		x /= 1000
		prefix = p
	}
	if prefix != "" && x < 9.95 {
		return fmt.Sprintf("%.1f%s", x, prefix)
	}
	return fmt.Sprintf("%.0f%s", x, prefix)
}
