// Package examples_test checks what the examples' READMEs claim: that the import is
// all in which each program differs from its twin on Go's own packages.
package examples_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twins are the files with the import, and the lines of the import in them and in
// the twin. Other files of an example put its ends on a wire, and need fastnet.
var twins = []struct{ file, ours, theirs string }{
	{"dns/dns.go", `net "github.com/fastnet-go/fastnet/fastnet"`, `"net"`},
	{"echo/echo.go", `net "github.com/fastnet-go/fastnet/fastnet"`, `"net"`},
	{"http2/http2.go", `"github.com/fastnet-go/fastnet/fastnet/http"`, `"net/http"`},
	{"https/https.go", `"github.com/fastnet-go/fastnet/fastnet/tls"`, `"crypto/tls"`},
	{"httpserver/main.go", `net "github.com/fastnet-go/fastnet/fastnet"`, `"net"`},
	{"rpc/rpc.go", `net "github.com/fastnet-go/fastnet/fastnet"`, `"net"`},
}

func TestTheTwinsCompile(t *testing.T) {
	replace := make(map[string]string)
	temp := t.TempDir()
	for _, twin := range twins {
		text, err := os.ReadFile(twin.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), "\t"+twin.ours+"\n"), twin.file)
		changed := strings.Replace(string(text), "\t"+twin.ours+"\n", "\t"+twin.theirs+"\n", 1)
		require.NotContains(t, changed, "fastnet-go/fastnet/fastnet", twin.file)
		path, err := filepath.Abs(twin.file)
		require.NoError(t, err)
		replace[path] = filepath.Join(temp, strings.ReplaceAll(twin.file, "/", "_"))
		require.NoError(t, os.WriteFile(replace[path], []byte(changed), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(temp, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	out, err := exec.Command("go", "list", "-export", "-overlay", file, "./...").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestTheReadmesShowTheDifference(t *testing.T) {
	for _, twin := range twins {
		name := filepath.Dir(twin.file)
		if name == "httpserver" { // the project's own README is about it
			continue
		}
		text, err := os.ReadFile(filepath.Join(name, "README.md"))
		require.NoError(t, err)
		require.Contains(t, string(text), "    go run ./examples/"+name+"\n", name)
		require.Contains(t, string(text), "\n-\t"+twin.theirs+"\n+\t"+twin.ours+"\n", name)
	}
}

// TestTheProxysReadmeQuotesIt: it uses both packages, and has no twin.
func TestTheProxysReadmeQuotesIt(t *testing.T) {
	readme, err := os.ReadFile("proxy/README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("proxy/proxy.go")
	require.NoError(t, err)
	quoted := 0
	for line := range strings.Lines(string(readme)) {
		if code, ok := strings.CutPrefix(line, "+"); ok {
			require.Contains(t, string(program), code)
			quoted++
		}
	}
	require.Equal(t, 2, quoted)
}

func TestEveryExampleIsInTheList(t *testing.T) {
	list, err := os.ReadFile("README.md")
	require.NoError(t, err)
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "internal" {
			require.Contains(t, string(list), "| ["+e.Name()+"]("+e.Name()+") |")
		}
	}
}
