package fastnet

import (
	"go/importer"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSurfaceIsThatOfPackageNet compares the exported names, their types and
// their methods with those of the package net that is installed.
func TestSurfaceIsThatOfPackageNet(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads types, and is long with the race detector")
	}
	imp := importer.ForCompiler(token.NewFileSet(), "source", nil)
	theirs, err := imp.Import("net")
	require.NoError(t, err)
	ours, err := imp.Import("github.com/fastnet-go/fastnet/fastnet")
	require.NoError(t, err)
	for _, name := range theirs.Scope().Names() {
		want := theirs.Scope().Lookup(name)
		if !want.Exported() {
			continue
		}
		got := ours.Scope().Lookup(name)
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if _, ok := want.(*types.TypeName); !ok {
			require.Equal(t, written(want.Type()), written(got.Type()), name)
			continue
		}
		if types.Identical(want.Type(), got.Type()) {
			continue // an alias
		}
		methods := types.NewMethodSet(types.NewPointer(got.Type()))
		for m := range types.NewMethodSet(types.NewPointer(want.Type())).Methods() {
			if !m.Obj().Exported() {
				continue
			}
			if f := methods.Lookup(ours, m.Obj().Name()); f == nil {
				t.Errorf("%s.%s is missing", name, m.Obj().Name())
			} else {
				require.Equal(t, written(m.Type()), written(f.Type()), "%s.%s", name, m.Obj().Name())
			}
		}
		if s, ok := want.Type().Underlying().(*types.Struct); ok && s.NumFields() > 0 && s.Field(0).Exported() {
			require.True(t, types.Identical(s, got.Type().Underlying()), "the fields of %s", name)
		}
	}
}

// written is a type without its packages: ours and theirs look the same.
func written(t types.Type) string {
	return types.TypeString(t, func(*types.Package) string { return "" })
}
