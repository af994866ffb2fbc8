package steer

import "errors"

// ErrNoFilter is that nothing can be taken from the kernel yet: another process has
// the interface.
var ErrNoFilter = errors.New("steer: there is no filter yet")
