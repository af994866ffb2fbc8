package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	// replacement is the package that takes package net's place.
	replacement = "github.com/fastnet-go/fastnet/fastnet"

	// laidUnder is the folder of GOROOT/src under which the overlay lays the
	// replacement and its dependencies: the first element of an import path in
	// the standard library has no dot.
	laidUnder = "fastnetoverlay/"
)

// overlay is what "go build -overlay" reads: which file to read in place of
// which. The files in place are in dir.
type overlay struct {
	Replace map[string]string
	dir     string
	flags   []string // of each build with it
}

// newOverlay lays the replacement into the shadow of t and returns the overlay
// in which the standard library, but for what the replacement itself is made of,
// imports the replacement instead of net.
// flags are those of the build: the race detector's selects files.
func newOverlay(ctx context.Context, t, shadow toolchain, dir string, flags ...string) (*overlay, error) {
	o := &overlay{Replace: make(map[string]string), dir: dir, flags: flags}
	below, err := o.layReplacement(ctx, shadow, flags)
	if err != nil {
		return nil, err
	}
	std, err := t.list(ctx, append(slices.Clone(flags), "std")...)
	if err != nil {
		return nil, err
	}
	suiteOf := make(map[string]bool)
	for _, s := range suites {
		suiteOf[s.pkg] = true
	}
	to := map[string]string{"net": laidUnder + replacement}
	for _, p := range std {
		if below[p.ImportPath] || !slices.Contains(p.Imports, "net") && !suiteOf[p.ImportPath] {
			continue
		}
		files := slices.Concat(p.GoFiles, p.CgoFiles)
		if suiteOf[p.ImportPath] {
			files = slices.Concat(files, p.TestGoFiles, p.XTestGoFiles)
		}
		for _, f := range files {
			as := filepath.Join(shadow.src(), filepath.FromSlash(p.ImportPath), f)
			if err := o.rewrite(filepath.Join(p.Dir, f), as, to); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

// layReplacement lays the replacement and its dependencies into t's GOROOT. It
// returns the packages of the standard library that they are made of, which
// must keep the real package net.
func (o *overlay) layReplacement(ctx context.Context, t toolchain, flags []string) (below map[string]bool, err error) {
	deps, err := list(ctx, "", nil, append(slices.Clone(flags), "-deps", replacement)...)
	if err != nil {
		return nil, err
	}
	below = make(map[string]bool)
	to := make(map[string]string)
	for _, p := range deps {
		if p.Standard {
			below[p.ImportPath] = true
		} else {
			to[p.ImportPath] = laidUnder + p.ImportPath
		}
	}
	for _, p := range deps {
		if p.Standard {
			continue
		}
		laid := filepath.Join(t.src(), filepath.FromSlash(laidUnder+p.ImportPath))
		if err := os.MkdirAll(laid, 0o755); err != nil {
			return nil, err
		}
		for _, f := range slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles) {
			data, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err == nil && filepath.Ext(f) == ".go" {
				data, err = replaceImports(data, to)
			}
			as := filepath.Join(laid, filepath.FromSlash(f)) // an embedded file may be in a folder below
			if err == nil {
				err = os.MkdirAll(filepath.Dir(as), 0o755)
			}
			if err == nil {
				err = os.WriteFile(as, data, 0o644)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return below, nil
}

// rewrite shows at the path as the Go file at the path from, with the import
// paths in to replaced.
func (o *overlay) rewrite(from, as string, to map[string]string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	changed, err := replaceImports(data, to)
	if err != nil {
		return err
	}
	if bytes.Equal(changed, data) {
		return nil
	}
	return o.put(as, changed)
}

// put shows data at the path as.
func (o *overlay) put(as string, data []byte) error {
	path := filepath.Join(o.dir, "files", strconv.Itoa(len(o.Replace)), filepath.Base(as))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	o.Replace[as] = path
	return os.WriteFile(path, data, 0o644)
}

// write writes the overlay to a file of the name, for the -overlay flag.
func (o *overlay) write(name string) (path string, err error) {
	text, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return "", err
	}
	path = filepath.Join(o.dir, name)
	return path, os.WriteFile(path, text, 0o644)
}

// with returns a copy of o, to be added to.
func (o *overlay) with(dir string) *overlay {
	return &overlay{Replace: maps.Clone(o.Replace), dir: dir, flags: o.flags}
}

// replaceImports replaces import paths in a Go file, and nothing else: all other
// bytes, lines and columns before them stay. A package that was imported without
// a name keeps the one it had, if the last element of its path changes.
func replaceImports(src []byte, to map[string]string) ([]byte, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", src, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	for _, im := range slices.Backward(f.Imports) {
		path, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			return nil, err
		}
		target, ok := to[path]
		if !ok {
			continue
		}
		spec := strconv.Quote(target)
		if im.Name == nil && lastElement(path) != lastElement(target) {
			spec = lastElement(path) + " " + spec
		}
		start, end := set.Position(im.Path.Pos()).Offset, set.Position(im.Path.End()).Offset
		src = slices.Concat(src[:start], []byte(spec), src[end:])
	}
	return src, nil
}

func lastElement(path string) string { return filepath.Base(filepath.FromSlash(path)) }
