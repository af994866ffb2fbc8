package defect_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// names are the constants of defect.go with their values.
func names(t *testing.T) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), "defect.go", nil, 0)
	require.NoError(t, err)
	all := make(map[string]string)
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "Name" {
				continue
			}
			value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			all[v.Names[0].Name] = value
		}
	}
	return all
}

// TestEachDefectIsPlantedOnceAndListed: a hook may get lost as a function is
// rewritten.
func TestEachDefectIsPlantedOnceAndListed(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"fastnet", "stack", "dialer", "listener"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			source.Write(b)
		}
	}
	list, err := os.ReadFile(filepath.Join("plant", "list.go"))
	require.NoError(t, err)
	values := make(map[string]bool)
	for name, value := range names(t) {
		require.Equal(t, 1, strings.Count(source.String(), "defect.On(defect."+name+")"), "the places of defect.%s", name)
		require.Equal(t, 1, strings.Count(string(list), "{defect."+name+", "), "%s in plant/list.go", name)
		require.False(t, values[value], "%s is the name of two", value)
		values[value] = true
	}
	require.GreaterOrEqual(t, len(values), 20)
}

// TestOrdinaryBuildsHaveNoDefects: the names of all are in a program that is
// built with the tag, and none in one without: the compiler has removed the
// conditions, and what depended on them.
func TestOrdinaryBuildsHaveNoDefects(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs: not in -short")
	}
	build := func(args ...string) []byte {
		out := filepath.Join(t.TempDir(), "program")
		cmd := exec.Command("go", append(append([]string{"build", "-o", out}, args...), "./examples/httpserver")...)
		cmd.Dir = root
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, string(text))
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		return b
	}
	plain, tagged := build(), build("-tags", "defect")
	found := 0
	for _, value := range names(t) {
		require.False(t, bytes.Contains(plain, []byte(value)), "%s is left in an ordinary build", value)
		if bytes.Contains(tagged, []byte(value)) {
			found++
		}
	}
	require.False(t, bytes.Contains(plain, []byte("FASTNET_DEFECT")))
	require.True(t, bytes.Contains(tagged, []byte("FASTNET_DEFECT")))
	require.NotZero(t, found)
}
