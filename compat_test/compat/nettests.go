package main

import (
	"context"
	"fmt"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Package net's own tests are most of them in package net, so another import is
// not enough: they are moved to a package of their own that imports the
// replacement with a dot. What they use of package net's internals is given to
// them; what uses the insides of its types cannot compile and is taken out, as
// is all that depends on it. The replacement answers for the rest.

// portedPath is the package of the moved tests. It is below net for the sake of
// the internal packages that they import.
const portedPath = "net/portedtests"

// ported is package net's tests on their way.
type ported struct {
	tools  toolchain // the shadow
	over   *overlay
	dir    string // of portedPath
	net    *types.Package
	files  map[string]*testFile
	needed map[string]types.Object // package net's unexported names that are in use
}

// portNetTests lays package net's tests into the shadow. It returns the path of
// the overlay for them and the names of those that compile.
func portNetTests(ctx context.Context, t, shadow toolchain, o *overlay, stdout io.Writer, verbose bool) (path string, tests []string, err error) {
	std, err := list(ctx, t.src(), nil, "net")
	if err != nil {
		return "", nil, err
	}
	p := &ported{tools: shadow, over: o, files: make(map[string]*testFile), needed: make(map[string]types.Object)}
	if p.net, err = sourcePackage("net"); err != nil {
		return "", nil, err
	}
	if p.dir, err = layTestFolder(t, shadow); err != nil {
		return "", nil, err
	}
	all := 0
	for _, name := range slices.Concat(std[0].TestGoFiles, std[0].XTestGoFiles) {
		src, err := os.ReadFile(filepath.Join(std[0].Dir, name))
		if err != nil {
			return "", nil, err
		}
		if src, err = moveTest(src); err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		f := &testFile{name: name, src: src}
		all += len(f.tests())
		p.files[name] = f
	}
	removed, path, err := p.compile(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, f := range p.files {
		tests = append(tests, f.tests()...)
	}
	slices.Sort(tests)
	fmt.Fprintf(stdout, "net: %d of its %d tests compile against a replacement\n", len(tests), all)
	if verbose {
		for _, r := range removed {
			fmt.Fprintf(stdout, "    taken out: %s\n", r)
		}
	}
	return path, tests, nil
}

// layTestFolder makes the folder of portedPath. The tests read files of their
// own folder and of the one beside it.
func layTestFolder(t, shadow toolchain) (dir string, err error) {
	dir = filepath.Join(shadow.src(), filepath.FromSlash(portedPath))
	beside := filepath.Join(shadow.src(), "net", "testdata")
	if err := unfold(t, shadow, "net"); err != nil {
		return "", err
	}
	if err := unfold(t, shadow, "net/testdata"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := linkEntries(filepath.Join(t.src(), "testdata"), beside, ""); err != nil {
		return "", err
	}
	return dir, os.Symlink(filepath.Join(t.src(), "net", "testdata"), filepath.Join(dir, "testdata"))
}

// unfold makes the link to a folder of t's a folder of links.
func unfold(t, shadow toolchain, folder string) error {
	path := filepath.FromSlash(folder)
	if err := os.Remove(filepath.Join(shadow.src(), path)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(shadow.src(), path), 0o755); err != nil {
		return err
	}
	return linkEntries(filepath.Join(t.src(), path), filepath.Join(shadow.src(), path), "")
}

// moves make of a method that the tests define on a type of package net's, or of
// an unexported one that they call, a function: only package net can have it.
var moves = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`func \(e \*OpError\) isValid\(\) error`), `func opErrorIsValid(e *OpError) error`},
	{regexp.MustCompile(`\berr\.isValid\(\)`), `opErrorIsValid(err)`},
	{regexp.MustCompile(`func \((\w+) \*(TCPListener|UDPConn)\) port\(\) string`), `func portOf$2($1 *$2) string`},
	{regexp.MustCompile(`(\w+)\.\(\*(TCPListener|UDPConn)\)\.port\(\)`), `portOf$2($1.(*$2))`},
	{regexp.MustCompile(`\b(lns\[0\])\.port\(\)`), `portOfTCPListener($1)`},
	{regexp.MustCompile(`\b(cs\[0\])\.port\(\)`), `portOfUDPConn($1)`},
	{regexp.MustCompile(`\baddr\.isWildcard\(\)`), `isWildcardAddr(addr)`},
	{regexp.MustCompile(`\bzoneCache\.name\(`), `zoneName(`},
}

var packageClause = regexp.MustCompile(`(?m)^package net(_test)?$`)

// moveTest makes a test file of package net's one of portedPath's. Lines stay
// where they are.
func moveTest(src []byte) ([]byte, error) {
	to := map[string]string{"net": laidUnder + replacement}
	src, err := replaceImports(src, to)
	if err != nil {
		return nil, err
	}
	inside := true
	src = packageClause.ReplaceAllFunc(src, func(clause []byte) []byte {
		if strings.HasSuffix(string(clause), "_test") {
			inside = false
			return []byte("package portedtests_test")
		}
		return []byte("package portedtests; import . " + strconv.Quote(laidUnder+replacement))
	})
	if inside {
		for _, m := range moves {
			src = m.from.ReplaceAll(src, []byte(m.to))
		}
	}
	return src, nil
}

// shim is what the moved tests have besides what they use of package net's.
const shim = `
func zoneName(index int) string { return realnet.PortedZoneName(index) }

func isWildcardAddr(a realnet.Addr) bool {
	switch a := a.(type) {
	case *realnet.TCPAddr:
		return a == nil || a.IP == nil || a.IP.IsUnspecified()
	case *realnet.UDPAddr:
		return a == nil || a.IP == nil || a.IP.IsUnspecified()
	case *realnet.IPAddr:
		return a == nil || a.IP == nil || a.IP.IsUnspecified()
	}
	return false
}
`

// export writes what gives the tests package net's unexported names: an alias
// for a type, a copy of a constant or a function, and for a variable the same
// storage, since the tests set it.
func (p *ported) export() error {
	var inNet, inTests strings.Builder
	imports := map[string]string{"net": "realnet", "unsafe": "_"}
	qualify := func(other *types.Package) string {
		if other == p.net {
			return "realnet"
		}
		imports[other.Path()] = other.Name()
		return other.Name()
	}
	for _, name := range slices.Sorted(maps.Keys(p.needed)) {
		public := "Ported_" + name
		switch o := p.needed[name].(type) {
		case *types.TypeName:
			fmt.Fprintf(&inNet, "type %s = %s\n", public, name)
			fmt.Fprintf(&inTests, "type %s = realnet.%s\n", name, public)
		case *types.Const:
			fmt.Fprintf(&inNet, "const %s = %s\n", public, name)
			fmt.Fprintf(&inTests, "const %s = realnet.%s\n", name, public)
		case *types.Func:
			fmt.Fprintf(&inNet, "var %s = %s\n", public, name)
			fmt.Fprintf(&inTests, "var %s = realnet.%s\n", name, public)
		case *types.Var:
			fmt.Fprintf(&inTests, "//go:linkname %s net.%s\nvar %s %s\n", name, name, name, unexportedType.ReplaceAllString(types.TypeString(o.Type(), qualify), "$1"))
		}
	}
	fmt.Fprint(&inNet, "func PortedZoneName(index int) string { return zoneCache.name(index) }\n")
	var text strings.Builder
	text.WriteString("package portedtests\n\n")
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		fmt.Fprintf(&text, "import %s %q\n", imports[path], path)
	}
	text.WriteString(shim + inTests.String())
	if err := os.WriteFile(filepath.Join(p.dir, "shim_test.go"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	as := filepath.Join(p.tools.src(), "net", "ported_exports.go")
	return p.over.put(as, []byte("package net\n\n"+inNet.String()))
}

// unexportedType is a type that the tests have under its own name.
var unexportedType = regexp.MustCompile(`\brealnet\.([a-z]\w*)`)

// compile takes out what does not compile until the rest does.
func (p *ported) compile(ctx context.Context) (removed []string, overlayPath string, err error) {
	for range 60 {
		if err := p.export(); err != nil {
			return nil, "", err
		}
		for name, f := range p.files {
			if err := os.WriteFile(filepath.Join(p.dir, name), f.src, 0o644); err != nil {
				return nil, "", err
			}
		}
		if overlayPath, err = p.over.write("overlay-net.json"); err != nil {
			return nil, "", err
		}
		args := append([]string{"test", "-c", "-vet=off", "-gcflags=-e", sameStorage, "-overlay", overlayPath, "-o", os.DevNull}, p.over.flags...)
		cmd := exec.CommandContext(ctx, "go", append(args, portedPath)...)
		cmd.Dir = p.tools.src()
		cmd.Env = append(os.Environ(), p.tools.environ()...)
		out, failure := cmd.CombinedOutput()
		if failure == nil {
			return removed, overlayPath, nil
		}
		errs := compileErrors(string(out))
		if len(errs) == 0 {
			return nil, "", fmt.Errorf("the tests of package net do not compile: %s", out)
		}
		if p.give(errs) {
			continue
		}
		progress := false
		for _, e := range errs {
			if f := p.files[e.file]; f != nil {
				if what := f.remove(e.line); what != "" {
					removed = append(removed, fmt.Sprintf("%s (%s): %s", what, e.file, e.text))
				}
				progress = progress || f.changed
			}
		}
		for _, f := range p.files {
			f.blank()
		}
		if !progress {
			return nil, "", fmt.Errorf("the tests of package net do not compile: %s", out)
		}
	}
	return nil, "", fmt.Errorf("the tests of package net do not compile after all these attempts")
}

// sameStorage lets the linker tie the tests' variables to package net's.
const sameStorage = "-ldflags=-checklinkname=0"

var undefined = regexp.MustCompile(`^undefined: ([a-z]\w*)$`)

// give notes what of package net's unexported names the tests miss. It reports
// whether there was something new.
func (p *ported) give(errs []compileError) (more bool) {
	for _, e := range errs {
		m := undefined.FindStringSubmatch(e.text)
		if m == nil {
			continue
		}
		if o := p.net.Scope().Lookup(m[1]); o != nil && p.needed[m[1]] == nil {
			p.needed[m[1]] = o
			more = true
		}
	}
	return more
}
