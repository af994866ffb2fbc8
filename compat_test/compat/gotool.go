package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// toolchain is the local Go: whose tests are run, and with what.
type toolchain struct {
	root    string // GOROOT
	version string // as go1.26.3
	target  string // as linux/amd64
}

func localToolchain(ctx context.Context) (toolchain, error) {
	out, err := goCommand(ctx, "", nil, "env", "GOROOT", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return toolchain{}, err
	}
	f := strings.Fields(string(out))
	if len(f) != 4 {
		return toolchain{}, fmt.Errorf("go env: %q is not GOROOT, GOVERSION, GOOS and GOARCH", out)
	}
	return toolchain{root: f[0], version: f[1], target: f[2] + "/" + f[3]}, nil
}

// src is the folder of the standard library, which is a module of its own.
func (t toolchain) src() string { return filepath.Join(t.root, "src") }

// environ makes the go command use t's GOROOT.
func (t toolchain) environ() []string { return []string{"GOROOT=" + t.root} }

// shadow returns t with a GOROOT in dir to which packages can be added. All that
// is in it are links to what is in t's, for an overlay cannot do it alone: the
// assembler runs in the folder of its package, which must exist.
func (t toolchain) shadow(dir string) (toolchain, error) {
	s := t
	s.root = dir
	if err := os.MkdirAll(s.src(), 0o755); err != nil {
		return s, err
	}
	if err := linkEntries(t.root, s.root, "src"); err != nil {
		return s, err
	}
	return s, linkEntries(t.src(), s.src(), "")
}

// linkEntries makes links in the folder to for the entries of the folder from.
func linkEntries(from, to, except string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == except {
			continue
		}
		if err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// goPackage is what go list tells about a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	SFiles     []string
	HFiles     []string
	EmbedFiles []string

	TestGoFiles, XTestGoFiles []string
	Imports                   []string
}

// list runs go list on the standard library.
func (t toolchain) list(ctx context.Context, args ...string) ([]goPackage, error) {
	return list(ctx, t.src(), t.environ(), args...)
}

// list runs go list in dir, with env added to the process's environment.
func list(ctx context.Context, dir string, env []string, args ...string) ([]goPackage, error) {
	out, err := goCommand(ctx, dir, env, append([]string{"list", "-json"}, args...)...)
	if err != nil {
		return nil, err
	}
	var pkgs []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return pkgs, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// goCommand returns what the go command printed, with an error too.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}
