package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// module is one of a third party whose tests are borrowed: at this version, from
// the module cache or the proxy. packages are relative to the module's root.
type module struct {
	path, version string
	packages      []string
	timeout       time.Duration // of one run of a package's tests; 0 is the default
}

// suites are the packages of a module whose tests are run.
func (m *module) suites() (ss []suite) {
	for _, p := range m.packages {
		ss = append(ss, suite{pkg: path.Join(m.path, p), module: m, timeout: m.timeout})
	}
	return ss
}

func (m *module) String() string { return m.path + "@" + m.version }

// refusedError is that a module cannot be had.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// trees are the two copies of a module's source: as it is, and on the
// replacement. What the module depends on is in each, vendored, and changed like
// the module itself.
type trees struct{ plain, changed string }

// layModule makes the copies below dir. env is for the go command.
func layModule(ctx context.Context, m *module, dir string) (t trees, err error) {
	src, err := download(ctx, m, dir)
	if err != nil {
		return t, err
	}
	under := filepath.Join(dir, "modules", strings.ReplaceAll(m.String(), "/", "_"))
	t = trees{filepath.Join(under, "plain"), filepath.Join(under, "changed")}
	if err := copyTree(src, t.plain, nil); err != nil {
		return t, err
	}
	if _, err := goCommand(ctx, t.plain, localOnly, "mod", "vendor"); err != nil {
		return t, &refusedError{oneLine(err.Error())} // what it depends on
	}
	return t, copyTree(t.plain, t.changed, onReplacement)
}

// onReplacement makes a Go file import the replacement instead of net. What no
// compiler can read, as there is in testdata folders, stays.
func onReplacement(name string, data []byte) []byte {
	if filepath.Ext(name) == ".go" {
		if changed, err := replaceImports(data, map[string]string{"net": laidUnder + replacement}); err == nil {
			return changed
		}
	}
	return data
}

// localOnly keeps a go.mod from asking for another Go than the one whose tests
// are run.
var localOnly = []string{"GOTOOLCHAIN=local", "GOFLAGS=", "GOWORK=off"}

// download returns the folder of the module cache that holds m.
func download(ctx context.Context, m *module, dir string) (string, error) {
	out, err := goCommand(ctx, dir, localOnly, "mod", "download", "-json", m.String())
	var got struct{ Dir, Error string }
	if json.Unmarshal(out, &got) != nil && err != nil {
		return "", err
	}
	if got.Error != "" {
		return "", &refusedError{oneLine(got.Error)}
	}
	return got.Dir, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// copyTree copies the files of a folder. change, if not nil, makes their content.
func copyTree(from, to string, change func(name string, data []byte) []byte) error {
	return filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		as := filepath.Join(to, rel)
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(as, 0o755)
		case !info.Mode().IsRegular():
			return errors.New(name + " is no regular file")
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if change != nil {
			data = change(name, data)
		}
		// What the module cache has made read-only is for the tests to write again.
		if err := os.WriteFile(as, data, info.Mode().Perm()|0o600); err != nil {
			return fmt.Errorf("copying %s: %w", rel, err)
		}
		return nil
	})
}
