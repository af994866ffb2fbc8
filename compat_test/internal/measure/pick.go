package measure

import (
	"fmt"
	"strings"
)

// Named is what can be chosen by name on the command line.
type Named interface{ Named() string }

// Pick returns the members of all that list names, in the order of all.
func Pick[T Named](kind string, all []T, list string) ([]T, error) {
	if list == "all" {
		return all, nil
	}
	wanted := map[string]bool{}
	for n := range strings.SplitSeq(list, ",") {
		wanted[strings.TrimSpace(n)] = true
	}
	var known []string
	var picked []T
	for _, x := range all {
		known = append(known, x.Named())
		if wanted[x.Named()] {
			picked = append(picked, x)
			delete(wanted, x.Named())
		}
	}
	for n := range wanted {
		return nil, fmt.Errorf("unknown %s %q; there are %s", kind, n, strings.Join(known, ", "))
	}
	return picked, nil
}
