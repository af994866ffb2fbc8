package steer

import "errors"

var errNoFilter = errors.New("steer: there is no filter yet")
