package main

import (
	"bytes"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// staticcheckVersion is the one that the code is clean with. It runs as a
// program of its own, so go.mod does not know it.
const staticcheckVersion = "v0.8.2"

// modules are the directories of the repository's modules.
var modules = []string{".", "compat_test", "examples/redis", "examples/websocket"}

// platforms are those that must build besides this machine's. All have the wire
// and the fallback to the kernel; Linux has the drivers too.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

func checks() []step {
	return []step{
		{"gofmt", "all Go files are formatted", gofmt},
		{"vet", "go vet ./...", vet},
		{"staticcheck", "staticcheck " + staticcheckVersion + " ./...", staticcheck},
		{"layers", "imports run downwards, and stack and nic are free of package net", layers},
		{"builds", "go build ./... for " + strings.Join(platforms, ", "), builds},
	}
}

// gofmt formats each file in memory and compares.
func gofmt(t *tally) {
	var wrong []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); len(name) > 1 && name[0] == '.' || name == "testdata" || name == "vendor" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, err := format.Source(text); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", path, err))
		} else if !bytes.Equal(text, want) {
			wrong = append(wrong, path+" is not formatted: gofmt -w "+path)
		}
		return nil
	})
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	verdict(t, "gofmt", strings.Join(wrong, "\n"))
}

func vet(t *tally) {
	for _, dir := range modules {
		command(t, "vet of "+dir, dir, nil, "go", "vet", "./...")
	}
}

func staticcheck(t *tally) {
	tool := "honnef.co/go/tools/cmd/staticcheck@" + staticcheckVersion
	if out, err := exec.Command("go", "run", tool, "-version").CombinedOutput(); err != nil {
		t.skip("staticcheck", tool+" cannot be had here: "+lastLine(out))
		return
	}
	for _, dir := range modules {
		command(t, "staticcheck of "+dir, dir, nil, "go", "run", tool, "./...")
	}
}

// layers checks what may import what. A package's tests may do as they like.
func layers(t *tally) {
	const module = "github.com/fastnet-go/fastnet/"
	for _, gate := range []struct {
		what    string   // the packages that the rule is for
		pattern []string // the same, for go list
		allowed []string // of our own packages, with what is below them
	}{
		{"nic/...", []string{"./nic/..."}, []string{"nic"}},
		{"stack/header and stack/tcp", []string{"./stack/header", "./stack/tcp"}, []string{"stack/header", "stack/tcp"}},
		{"stack/...", []string{"./stack/..."}, []string{"stack", "nic", "internal/defect", "internal/bubble"}},
		{"listener and dialer", []string{"./listener", "./dialer"}, []string{"listener", "dialer", "stack", "nic", "internal/defect", "internal/bubble"}},
	} {
		out, err := exec.Command("go", append([]string{"list", "-deps"}, gate.pattern...)...).CombinedOutput()
		if err != nil {
			t.fail("layers of "+gate.what, string(out))
			continue
		}
		var wrong []string
		for _, pkg := range strings.Fields(string(out)) {
			ours, ok := strings.CutPrefix(pkg, module)
			if pkg == "net" || ok && !below(ours, gate.allowed) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, directly or not: go list -deps %s", gate.what, pkg, strings.Join(gate.pattern, " ")))
			}
		}
		verdict(t, "layers of "+gate.what, strings.Join(wrong, "\n"))
	}
}

// below reports whether pkg is one of roots or in a directory of one.
func below(pkg string, roots []string) bool {
	for _, root := range roots {
		if pkg == root || strings.HasPrefix(pkg, root+"/") {
			return true
		}
	}
	return false
}

func builds(t *tally) {
	for _, platform := range platforms {
		system, arch, _ := strings.Cut(platform, "/")
		command(t, "build for "+platform, ".", []string{"GOOS=" + system, "GOARCH=" + arch, "CGO_ENABLED=0"}, "go", "build", "./...")
	}
}

// command is a check that runs a command and passes if that exits with 0.
func command(t *tally, name, dir string, env []string, args ...string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		t.pass(name)
	case dir != "." && unreachable(out):
		t.skip(name, "its modules cannot be downloaded: "+lastLine(out))
	default:
		t.fail(name, fmt.Sprintf("%s%s: %v", out, strings.Join(args, " "), err))
	}
}

// verdict is that of a check, which passes if there is nothing to say.
func verdict(t *tally, name, wrong string) {
	if wrong != "" {
		t.fail(name, wrong)
		return
	}
	t.pass(name)
}
