//go:build !linux

package stack

import (
	"errors"
	"time"
)

// netpollWait is Linux's. Elsewhere the poller yields by runtime.Gosched, and does
// not nap.
type netpollWait struct{}

func newYielder() (*netpollWait, error)             { return nil, errors.ErrUnsupported }
func newNapper(time.Duration) (*netpollWait, error) { return nil, errors.ErrUnsupported }
func (w *netpollWait) wait()                        {}
func (w *netpollWait) close()                       {}
