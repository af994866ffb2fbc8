package main

import (
	"fmt"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// A sample is what one measurement of one workload on one row gave.
type sample struct {
	measure.Outcome
	ops          float64
	wall         time.Duration
	user, system time.Duration // of the server
	client       time.Duration // processor time
	p50, p99     time.Duration // of an operation; 0 where a workload has none
	onStack      bool          // the device's counters are known
	packets      float64       // of the server's device, both directions
	calls        float64       // system calls of the driver's
	traced       float64       // all system calls an operation, by strace; 0: not counted
	lost         float64       // share of the datagrams
}

func (s *sample) cpu() time.Duration          { return s.user + s.system }
func (s *sample) perSecond() float64          { return measure.Ratio(s.ops, s.wall.Seconds()) }
func (s *sample) cpuPerOp() float64           { return measure.Ratio(float64(s.cpu()), s.ops) }
func (s *sample) userPerOp() float64          { return measure.Ratio(float64(s.user), s.ops) }
func (s *sample) systemPerOp() float64        { return measure.Ratio(float64(s.system), s.ops) }
func (s *sample) clientPerOp() float64        { return measure.Ratio(float64(s.client), s.ops) }
func (s *sample) allPerOp() float64           { return s.cpuPerOp() + s.clientPerOp() }
func (s *sample) callsPerOp() float64         { return measure.Ratio(s.calls, s.ops) }
func (s *sample) packetsPerOp() float64       { return measure.Ratio(s.packets, s.ops) }
func (s *sample) perProcessorSecond() float64 { return measure.Ratio(s.ops, s.cpu().Seconds()) }

// fill takes over what the server has used between two readings.
func (s *sample) fill(from, to reading) {
	s.user, s.system = to.User-from.User, to.System-from.System
	s.onStack = to.OnStack
	s.packets, s.calls = float64(to.Packets-from.Packets), float64(to.Calls-from.Calls)
}

// String is what the progress of a run tells beside the value.
func (s sample) String() string {
	return fmt.Sprintf("p50 %s, server %s us/op", measure.Span(s.p50), measure.Number(s.cpuPerOp()/1e3))
}

type (
	results = measure.Results[sample]
	summary = measure.Summary[sample]
)
