package main

import (
	"context"
	"errors"
	"io"
)

func portNetTests(ctx context.Context, t toolchain, o *overlay, g goTest, dir string, stdout io.Writer) (goTest, error) {
	return g, errors.New("not there yet")
}
