// Package surface compares the exported names of two packages, one of which
// stands in for the other.
package surface

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Difference is an exported name that is not the same in both packages. A type,
// constant, variable or function is the same if its type is identical, and a
// constant if its value is too.
type Difference struct {
	Name string
	What string // in a few words
}

// Same is what Compare says of a type of the stand-in's own that has the fields
// and methods of the other: all that differs is whose it is.
const Same = "a type of its own, with the same fields and methods"

// Compare returns how the package with the path ours differs from the one with
// the path theirs, in the order of names. It runs "go list" in the working
// directory. What ours has besides is not looked at.
func Compare(theirs, ours string) ([]Difference, error) {
	imp, err := open(theirs, ours)
	if err != nil {
		return nil, err
	}
	their, err := imp.Import(theirs)
	if err != nil {
		return nil, err
	}
	our, err := imp.Import(ours)
	if err != nil {
		return nil, err
	}
	var list []Difference
	for _, name := range their.Scope().Names() {
		want := their.Scope().Lookup(name)
		if !want.Exported() {
			continue
		}
		if what := compare(want, our.Scope().Lookup(name)); what != "" {
			list = append(list, Difference{name, what})
		}
	}
	return list, nil
}

// open returns an importer of the packages' compiled forms.
func open(paths ...string) (types.Importer, error) {
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, paths...)
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[path] = file
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if files[path] == "" {
			return nil, fmt.Errorf("package %s has no compiled form", path)
		}
		return os.Open(files[path])
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", lookup), nil
}

// compare says in what got differs from want, or "".
func compare(want, got types.Object) string {
	if got == nil {
		return "missing"
	}
	if kind(want) != kind(got) {
		return fmt.Sprintf("a %s, and not a %s", kind(got), kind(want))
	}
	if types.Identical(want.Type(), got.Type()) {
		if c, ok := want.(*types.Const); ok && c.Val().ExactString() != got.(*types.Const).Val().ExactString() {
			return fmt.Sprintf("%s, and not %s", got.(*types.Const).Val(), c.Val())
		}
		return ""
	}
	if kind(want) != "type" {
		return fmt.Sprintf("%s, and not %s", got.Type(), want.Type())
	}
	if what := compareFields(want.Type(), got.Type()); what != "" {
		return what
	}
	if what := compareMethods(want.Type(), got.Type()); what != "" {
		return what
	}
	return Same
}

func kind(o types.Object) string {
	switch o.(type) {
	case *types.TypeName:
		return "type"
	case *types.Const:
		return "constant"
	case *types.Var:
		return "variable"
	default:
		return "function"
	}
}

// compareFields compares the exported fields of structs.
func compareFields(want, got types.Type) string {
	w, ok := want.Underlying().(*types.Struct)
	if !ok {
		return fmt.Sprintf("a type of its own: %s", got.Underlying())
	}
	g, ok := got.Underlying().(*types.Struct)
	if !ok {
		return "no struct"
	}
	fields := make(map[string]types.Type)
	for f := range g.Fields() {
		fields[f.Name()] = f.Type()
	}
	for f := range w.Fields() {
		if !f.Exported() {
			continue
		}
		if t := fields[f.Name()]; t == nil {
			return fmt.Sprintf("without the field %s", f.Name())
		} else if !types.Identical(t, f.Type()) {
			return fmt.Sprintf("with a field %s %s, and not %s", f.Name(), t, f.Type())
		}
	}
	return ""
}

// compareMethods compares the exported methods of pointers to the types.
func compareMethods(want, got types.Type) string {
	methods := types.NewMethodSet(types.NewPointer(got))
	for m := range types.NewMethodSet(types.NewPointer(want)).Methods() {
		if !m.Obj().Exported() {
			continue
		}
		f := methods.Lookup(nil, m.Obj().Name())
		if f == nil {
			return fmt.Sprintf("without the method %s", m.Obj().Name())
		}
		if !types.Identical(m.Type(), f.Type()) {
			return fmt.Sprintf("with a method %s %s, and not %s", m.Obj().Name(), f.Type(), m.Type())
		}
	}
	return ""
}
