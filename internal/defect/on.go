//go:build defect

package defect

import "os"

var planted = Name(os.Getenv(Variable))

// On reports whether a defect is planted: the one that the environment names.
func On(n Name) bool { return n == planted }
