package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Journal keeps the settings of an interface that were changed, with what they were
// before, in a file: so that they can be put back by Close, or by the next start
// if this process is killed. Only who has the Claim of the interface may use it.
type Journal struct {
	index int // of the interface
	path  string
	old   record
}

// record is a journal's content.
type record struct {
	Interface string
	Settings  []setting // in the order in which they were changed
}

type setting struct {
	Name  string // of the file under /sys/class/net/INTERFACE, or of a feature, with featurePrefix
	Value string // as it was
	// Of is the interface that has it, if it is one under the journal's own.
	Of string `json:",omitempty"`
}

// featurePrefix marks what ethtool(8) sets, to on or off.
const featurePrefix = "feature:"

// foreign reports whether s is no setting of an interface's own.
func (s setting) foreign() bool {
	return strings.ContainsAny(s.Name, "/.") || strings.Contains(s.Of, "/")
}

// put gives a setting of an interface a value. An interface that is gone has none.
func (s setting) put(name string) error {
	if s.Of != "" {
		name = s.Of
	}
	var err error
	if feature, ok := strings.CutPrefix(s.Name, featurePrefix); ok {
		err = setFeature(name, feature, s.Value == "on")
	} else {
		err = os.WriteFile(filepath.Join(sysNet, name, s.Name), []byte(s.Value), 0)
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func (s setting) String() string {
	text := strings.TrimPrefix(s.Name, featurePrefix) + "=" + s.Value
	if s.Of != "" {
		text = s.Of + ": " + text
	}
	return text
}

// sysNet is where the kernel has the settings of interfaces (sysfs(5)).
var sysNet = "/sys/class/net"

// journalDirs are the folders that a journal may be in: those that do not outlive
// the system's run, as the settings do not.
var journalDirs = func() []string {
	dirs := []string{"/run/fastnet"}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		dirs = append(dirs, filepath.Join(d, "fastnet"))
	}
	return dirs
}

// journalName names the journal of an interface, of this network namespace.
func journalName(index int) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("xdp-%d-%d.json", st.Ino, index), nil
}

// OpenJournal puts back what a process that was killed has left, and returns an
// empty journal. left says what was put back.
func OpenJournal(name string, index int) (j *Journal, left []string, err error) {
	file, err := journalName(index)
	if err != nil {
		return nil, nil, err
	}
	j = &Journal{index: index, old: record{Interface: name}}
	for _, dir := range journalDirs() {
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		o := &Journal{path: path}
		if json.Unmarshal(text, &o.old) == nil && o.old.Interface == name && !slices.ContainsFunc(o.old.Settings, setting.foreign) {
			for _, s := range o.old.Settings {
				left = append(left, s.String())
			}
			err = o.Close()
		} else { // another interface's, that is gone, or none of ours
			err = os.Remove(path)
		}
		if err != nil {
			return nil, left, err
		}
	}
	return j, left, nil
}

// Set changes a setting of the interface: a file under /sys/class/net/INTERFACE. What
// it was is on disk before.
func (j *Journal) Set(name, value string) error {
	if (setting{Name: name}).foreign() {
		return fmt.Errorf("%s is no setting of an interface", name)
	}
	file := filepath.Join(sysNet, j.old.Interface, name)
	was, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old := strings.TrimSpace(string(was))
	if old == value {
		return nil
	}
	if err := j.note(setting{Name: name, Value: old}); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(value), 0)
}

// note puts settings on disk as they are.
func (j *Journal) note(s ...setting) error {
	before := len(j.old.Settings)
	j.old.Settings = append(j.old.Settings, s...)
	if err := j.write(); err != nil {
		j.old.Settings = j.old.Settings[:before]
		return fmt.Errorf("a journal of what is changed cannot be kept: %w: make /run/fastnet writable, or set XDG_RUNTIME_DIR", err)
	}
	return nil
}

// Keep notes which of some features of the interface, and of those under it, are on,
// because somebody is about to turn them off. forget ends that: nobody has.
func (j *Journal) Keep(features []string) (forget func() error, err error) {
	var on []setting
	for _, name := range withLowers(j.old.Interface) {
		of := name
		if name == j.old.Interface {
			of = ""
		}
		for _, f := range features {
			if is, err := featureOn(name, f); err == nil && is {
				on = append(on, setting{featurePrefix + f, "on", of})
			}
		}
	}
	if len(on) == 0 {
		return func() error { return nil }, nil
	}
	forget = func() error {
		j.old.Settings = slices.DeleteFunc(j.old.Settings, func(s setting) bool { return slices.Contains(on, s) })
		return j.write()
	}
	return forget, j.note(on...)
}

// lowers are the interfaces directly under one.
func lowers(name string) (names []string) {
	files, _ := filepath.Glob(filepath.Join(sysNet, name, "lower_*"))
	for _, f := range files {
		names = append(names, strings.TrimPrefix(filepath.Base(f), "lower_"))
	}
	return names
}

// write makes the file, whole or not at all.
func (j *Journal) write() error {
	text, err := json.Marshal(&j.old)
	if err != nil {
		return err
	}
	if j.path != "" {
		return replaceFile(j.path, text)
	}
	index, err := os.ReadFile(filepath.Join(sysNet, j.old.Interface, "ifindex"))
	if err != nil {
		return err
	}
	n := 0
	if _, err := fmt.Sscan(string(index), &n); err != nil {
		return err
	}
	if n != j.index {
		return fmt.Errorf("%s is not of the network namespace that the process is in: mount sysfs there, as ip netns exec does", sysNet)
	}
	name, err := journalName(n)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range journalDirs() {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			path := filepath.Join(dir, name)
			if err = replaceFile(path, text); err == nil {
				j.path = path
				return nil
			}
		}
		errs = append(errs, err)
	}
	return errs[0]
}

func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Close puts everything back, last things first, and removes the file. What cannot
// be put back because the interface is gone is forgotten.
func (j *Journal) Close() error {
	var errs []error
	for i := len(j.old.Settings) - 1; i >= 0; i-- {
		if err := j.old.Settings[i].put(j.old.Interface); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	j.old.Settings = nil
	if j.path == "" {
		return nil
	}
	path := j.path
	j.path = ""
	return os.Remove(path)
}
