package fastnet

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fastnet-go/fastnet/internal/defect"
	"github.com/fastnet-go/fastnet/stack"
)

// Some errors inside an OpError are values that package net does not export.
// They are had by making it return them; none of these calls makes a socket.
var (
	errMissingAddress = inner(net.DialTCP("tcp", nil, nil))
	errCanceled       = inner(dialEnded(context.WithCancel(context.Background())))
	errTimeout        = inner(dialEnded(context.WithDeadline(context.Background(), time.Unix(1, 0))))
)

// inner returns the error within the *OpError err.
func inner[C any](_ C, err error) error {
	var op *OpError
	if !errors.As(err, &op) {
		return err
	}
	return op.Err
}

// dialEnded dials with a context that has ended, which package net looks at
// before it makes a socket.
func dialEnded(ctx context.Context, cancel context.CancelFunc) (Conn, error) {
	cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
}

// errNoDescriptor is why File, and some of SyscallConn and Control, do not work on
// a socket of the stack's. errors.Is(err, errors.ErrUnsupported) holds.
var errNoDescriptor error = syscall.ENOTSUP

// netError translates an error of the stack's to what package net has inside
// its OpError: an errno is wrapped with the name of the system call that
// package net would have made.
func netError(call string, err error) error {
	if defect.On(defect.TimeoutUnmarked) && err == os.ErrDeadlineExceeded {
		return errors.New(err.Error())
	}
	if defect.On(defect.ClosedUnmarked) && err == stack.ErrClosed {
		return errors.New(net.ErrClosed.Error())
	}
	switch err {
	case nil, os.ErrDeadlineExceeded:
		return err
	case stack.ErrClosed:
		return net.ErrClosed
	case context.Canceled:
		return errCanceled
	case context.DeadlineExceeded:
		return errTimeout
	}
	if errno, ok := err.(syscall.Errno); ok && !defect.On(defect.SyscallMissing) {
		return os.NewSyscallError(call, errno)
	}
	return err
}

// opAddr keeps a nil pointer from becoming an Addr that is not nil.
func opAddr[T any, P interface {
	*T
	Addr
}](a P) Addr {
	if a == nil {
		return nil
	}
	return a
}
