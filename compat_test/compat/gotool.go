package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	out, err := goCommand(ctx, "", "env", "GOROOT", "GOVERSION", "GOOS", "GOARCH")
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

// goPackage is what go list tells about a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	CgoFiles   []string
	SFiles     []string
	HFiles     []string

	TestGoFiles, XTestGoFiles []string
	Imports                   []string
}

// list runs go list in dir.
func list(ctx context.Context, dir string, args ...string) ([]goPackage, error) {
	out, err := goCommand(ctx, dir, append([]string{"list", "-json"}, args...)...)
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

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}
