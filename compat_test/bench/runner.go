package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/fastnet-go/fastnet/compat_test/internal/measure"
)

// measureAll measures until ctx ends. It reports progress on w.
func measureAll(ctx context.Context, o options, w io.Writer) (measure.Results[Sample], error) {
	return measure.Interleave(ctx, o, w, func(wl *Workload, row *Row, _ int) (Sample, error) {
		return measureOne(ctx, row, wl, o.Duration)
	}), nil
}

func measureOne(ctx context.Context, row *Row, wl *Workload, d time.Duration) (s Sample, err error) {
	runtime.GC() // what earlier measurements left is not this one's to collect
	t, err := row.Open()
	if err != nil {
		return Sample{}, fmt.Errorf("open: %w", err)
	}
	defer func() {
		if e := t.Close(); e != nil && err == nil {
			err = fmt.Errorf("close: %w", e)
		}
	}()
	return wl.Run(ctx, t, d)
}
