//go:build !linux

package stack

import "errors"

// netpollYielder is Linux's; elsewhere the poller yields by runtime.Gosched.
type netpollYielder struct{}

func newNetpollYielder() (*netpollYielder, error) {
	return nil, errors.ErrUnsupported
}

func (y *netpollYielder) yield() {}
func (y *netpollYielder) close() {}
