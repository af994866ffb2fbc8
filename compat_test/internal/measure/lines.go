package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

// AppendLines adds a line of JSON for each record to the file, in one write,
// so that two runs that share a file do not tear each other's lines.
func AppendLines[T any](path string, records []T) error {
	var b bytes.Buffer
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		b.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Close())
}

// Digits keeps four significant ones: more would be noise.
func Digits(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// Microseconds is d with Digits.
func Microseconds(d time.Duration) float64 {
	return Digits(float64(d) / float64(time.Microsecond))
}
