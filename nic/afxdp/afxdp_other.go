//go:build !linux

package afxdp

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/fastnet-go/fastnet/nic"
)

// Device is for Linux only: there is none elsewhere.
type Device struct{ nic.Device }

// Filter is for Linux only: there is none elsewhere.
type Filter struct{}

// Open is for Linux only: elsewhere it returns an error that wraps
// ErrUnavailable and errors.ErrUnsupported.
func Open(cfg Config) (*Device, error) {
	_, err := Probe(cfg)
	return nil, err
}

// Probe is for Linux only, as Open.
func Probe(cfg Config) (Report, error) {
	if _, err := cfg.check(); err != nil {
		return Report{}, err
	}
	return Report{}, fmt.Errorf("afxdp: AF_XDP needs Linux, this is %s: use the wire driver, or the kernel's network: %w: %w",
		runtime.GOOS, ErrUnavailable, errors.ErrUnsupported)
}

// Report says how the interface is used.
func (d *Device) Report() Report { return Report{} }

// Filter is what the program takes from the kernel.
func (d *Device) Filter() *Filter { return nil }

// SetAddresses sets the local addresses.
func (f *Filter) SetAddresses([]Address) error { return ErrUnavailable }

// AddPort takes the packets for a port from the kernel.
func (f *Filter) AddPort(Port) error { return ErrUnavailable }

// RemovePort gives the packets for a port back to the kernel.
func (f *Filter) RemovePort(Port) error { return ErrUnavailable }

// AddFlow takes the packets of a connection from the kernel.
func (f *Filter) AddFlow(Flow) error { return ErrUnavailable }

// ExceptFlow leaves the packets of a connection to the kernel.
func (f *Filter) ExceptFlow(Flow) error { return ErrUnavailable }

// RemoveFlow gives the packets of a connection back to the kernel.
func (f *Filter) RemoveFlow(Flow) error { return ErrUnavailable }

// Counters returns what the program has counted since Open.
func (f *Filter) Counters() FilterCounters { return FilterCounters{} }
