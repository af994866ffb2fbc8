package main

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sourcePackage type-checks a package of the standard library, whose unexported
// names are wanted too. Without cgo: the declarations of interest are the same.
func sourcePackage(path string) (*types.Package, error) {
	cgo := build.Default.CgoEnabled
	build.Default.CgoEnabled = false
	defer func() { build.Default.CgoEnabled = cgo }()
	return importer.ForCompiler(token.NewFileSet(), "source", nil).Import(path)
}

// compileError is a line of the compiler's.
type compileError struct {
	file string
	line int
	text string
}

var compilerLine = regexp.MustCompile(`(?m)^\S*?([^/\s]+\.go):(\d+):(?:\d+:)? (.*)$`)

func compileErrors(out string) (errs []compileError) {
	for _, m := range compilerLine.FindAllStringSubmatch(out, -1) {
		line, _ := strconv.Atoi(m[2])
		errs = append(errs, compileError{m[1], line, m[3]})
	}
	return errs
}

// testFile is a file of tests from which declarations are taken.
type testFile struct {
	name    string
	src     []byte
	cuts    [][2]int // bytes to blank
	changed bool
}

// tests are the names of the file's top-level tests.
func (f *testFile) tests() (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), f.name, f.src, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

// remove marks the declaration around a line for blank. It returns its name.
func (f *testFile) remove(line int) (what string) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, f.name, f.src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return ""
	}
	around := func(n ast.Node) bool {
		return set.Position(n.Pos()).Line <= line && line <= set.Position(n.End()).Line
	}
	cut := func(n ast.Node) {
		c := [2]int{set.Position(n.Pos()).Offset, set.Position(n.End()).Offset}
		if !slices.Contains(f.cuts, c) {
			f.cuts = append(f.cuts, c)
			f.changed = true
		} else {
			what = "" // named before
		}
	}
	for _, d := range file.Decls {
		if !around(d) {
			continue
		}
		g, ok := d.(*ast.GenDecl)
		if !ok {
			what = d.(*ast.FuncDecl).Name.Name
			cut(d)
			return what
		}
		if !g.Lparen.IsValid() {
			what = specName(g.Specs[0])
			cut(g)
			return what
		}
		for _, s := range g.Specs {
			if around(s) {
				what = specName(s)
				cut(s)
				return what
			}
		}
	}
	return ""
}

// specName names a declaration; an import has none that matters.
func specName(s ast.Spec) string {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Name.Name
	case *ast.ValueSpec:
		return s.Names[0].Name
	}
	return ""
}

// blank takes out what was marked. Lines stay where they are.
func (f *testFile) blank() {
	for _, c := range f.cuts {
		for i := c[0]; i < c[1]; i++ {
			if f.src[i] != '\n' {
				f.src[i] = ' '
			}
		}
	}
	f.cuts, f.changed = nil, false
}
