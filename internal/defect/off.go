//go:build !defect

package defect

// On reports whether a defect is planted: never, in this build. The compiler
// removes what depends on it.
func On(Name) bool { return false }
