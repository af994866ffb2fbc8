package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Settings that were changed are put back by Close, and by the next start after a
// process that was killed.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	sys, dirs := sysNet, journalDirs
	t.Cleanup(func() { sysNet, journalDirs = sys, dirs })
	sysNet = filepath.Join(dir, "sys")
	journalDirs = func() []string { return []string{"/proc/nowhere", filepath.Join(dir, "run")} }
	face := filepath.Join(sysNet, "eth0")
	require.NoError(t, os.MkdirAll(face, 0o700))
	put := func(name, value string) {
		require.NoError(t, os.WriteFile(filepath.Join(face, name), []byte(value+"\n"), 0o600))
	}
	value := func(name string) string {
		b, err := os.ReadFile(filepath.Join(face, name))
		require.NoError(t, err)
		return strings.TrimSpace(string(b))
	}
	put("ifindex", "7")
	put("napi_defer_hard_irqs", "0")
	put("gro_flush_timeout", "0")
	open := func() (*Journal, []string) {
		j, left, err := OpenJournal("eth0", 7)
		require.NoError(t, err)
		return j, left
	}
	j, left := open()
	require.Empty(t, left)
	require.NoError(t, j.Set("napi_defer_hard_irqs", "2"))
	require.NoError(t, j.Set("gro_flush_timeout", "200000"))
	require.NoError(t, j.Set("gro_flush_timeout", "300000"))
	require.Equal(t, "2", value("napi_defer_hard_irqs"))
	require.Error(t, j.Set("../eth1/mtu", "1"))
	require.Error(t, j.Set("nothing", "1"))
	require.NoError(t, j.Close())
	require.Equal(t, "0", value("napi_defer_hard_irqs"))
	require.Equal(t, "0", value("gro_flush_timeout"))

	j, _ = open()
	require.NoError(t, j.Set("napi_defer_hard_irqs", "2")) // and is killed
	j, left = open()
	require.Equal(t, []string{"napi_defer_hard_irqs=0"}, left)
	require.Equal(t, "0", value("napi_defer_hard_irqs"))
	require.NoError(t, j.Close())

	// What is no journal of ours is not followed.
	put("secret", "kept")
	file, err := journalName(7)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run", file), []byte(`{"Interface":"eth0","Settings":[{"Name":"../eth0/secret","Value":"lost"}]}`), 0o600))
	j, left = open()
	require.Empty(t, left)
	require.Equal(t, "kept", value("secret"))
	put("ifindex", "8") // /sys is another namespace's
	require.ErrorContains(t, j.Set("napi_defer_hard_irqs", "2"), "network namespace")
	require.Equal(t, "0", value("napi_defer_hard_irqs"))
	put("ifindex", "7")
	require.NoError(t, j.Close())
	files, err := os.ReadDir(filepath.Join(dir, "run"))
	require.NoError(t, err)
	require.Empty(t, files)

	// A journal that is cut off, or of another interface with the index, is
	// forgotten.
	name, err := journalName(7)
	require.NoError(t, err)
	for _, text := range []string{"{", `{"Interface":"eth1","Settings":[{"Name":"napi_defer_hard_irqs","Value":"9"}]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "run", name), []byte(text), 0o600))
		_, left = open()
		require.Empty(t, left)
		require.Equal(t, "0", value("napi_defer_hard_irqs"))
	}
}

// What the kernel turns off is on again afterwards, of the interface and of those under
// it: after Close, and after a process that was killed; and what it left on is no
// longer noted.
func TestJournalOfFeatures(t *testing.T) {
	l := newLab(t)
	l.ip("link add eth1 type veth peer name eth2")
	dir := t.TempDir()
	sys, dirs := sysNet, journalDirs
	t.Cleanup(func() { sysNet, journalDirs = sys, dirs })
	sysNet = filepath.Join(dir, "sys")
	journalDirs = func() []string { return []string{filepath.Join(dir, "run")} }
	require.NoError(t, os.MkdirAll(filepath.Join(sysNet, "eth0", "lower_eth1"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(sysNet, "eth0", "ifindex"), []byte("7\n"), 0o600))

	features := []string{"rx-gro", "rx-lro", "nothing"} // veth has the first, to be turned off
	is := func(name string) bool {
		on, err := featureOn(name, "rx-gro")
		require.NoError(t, err)
		return on
	}
	set := func(on bool) {
		for _, name := range []string{"eth0", "eth1"} {
			require.NoError(t, setFeature(name, "rx-gro", on))
			require.Equal(t, on, is(name))
		}
	}
	set(true)
	j, left, err := OpenJournal("eth0", 7)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = j.Keep(features)
	require.NoError(t, err)
	set(false)
	require.NoError(t, j.Close())
	require.True(t, is("eth0") && is("eth1"))

	j, _, err = OpenJournal("eth0", 7)
	require.NoError(t, err)
	_, err = j.Keep(features)
	require.NoError(t, err)
	set(false) // and is killed
	j, left, err = OpenJournal("eth0", 7)
	require.NoError(t, err)
	require.Equal(t, []string{"rx-gro=on", "eth1: rx-gro=on"}, left)
	require.True(t, is("eth0") && is("eth1"))

	forget, err := j.Keep(features)
	require.NoError(t, err)
	require.NoError(t, forget())
	set(false) // by somebody else
	require.NoError(t, j.Close())
	require.False(t, is("eth0") || is("eth1"))
	forget, err = j.Keep(features) // none is on
	require.NoError(t, err)
	require.NoError(t, forget())
	files, err := os.ReadDir(filepath.Join(dir, "run"))
	require.NoError(t, err)
	require.Empty(t, files)
	_, err = featureOn("nothing", "rx-gro")
	require.ErrorIs(t, err, unix.ENODEV)
}
