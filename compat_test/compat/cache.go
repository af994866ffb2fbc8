package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cache keeps what the unmodified tests came to, by Go's version: they do not
// change with fastnet.
type cache struct{ dir string }

// openCache uses dir, or the user's cache folder.
func openCache(dir string, t toolchain, race bool) (cache, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return cache{}, err
		}
		dir = filepath.Join(user, "fastnet-compat")
	}
	kind := t.version + "-" + strings.ReplaceAll(t.target, "/", "-")
	if race {
		kind += "-race"
	}
	c := cache{filepath.Join(dir, kind)}
	return c, os.MkdirAll(c.dir, 0o755)
}

// base returns the cached results of a suite, or has its tests run.
func (c cache) base(ctx context.Context, s suite, again bool, run func(context.Context) (*results, error)) (*results, error) {
	name := strings.ReplaceAll(s.pkg, "/", "_")
	if s.module != nil {
		name += "@" + s.module.version
	}
	if s.long {
		name += "-long"
	}
	path := filepath.Join(c.dir, name+".json")
	if !again {
		text, err := os.ReadFile(path)
		r := newResults()
		switch {
		case err == nil && json.Unmarshal(text, r) == nil:
			return r, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	r, err := run(ctx)
	if err != nil || r.Broken != "" {
		return r, err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return nil, err
	}
	return r, os.WriteFile(path, text, 0o644)
}
