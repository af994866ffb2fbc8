package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheTwinCompiles checks what the README says: with the import of net the
// program is the same.
func TestTheTwinCompiles(t *testing.T) {
	const file, ours, theirs = "redis.go", `net "github.com/fastnet-go/fastnet/fastnet"`, `"net"`
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), "\n-\t"+theirs+"\n+\t"+ours+"\n")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	twin := filepath.Join(t.TempDir(), file)
	require.NoError(t, os.WriteFile(twin, []byte(strings.Replace(string(text), ours, theirs, 1)), 0o600))
	path, err := filepath.Abs(file)
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: twin}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(twin+".json", overlay, 0o600))
	out, err := exec.Command("go", "list", "-export", "-overlay", twin+".json", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
}
