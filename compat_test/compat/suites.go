package main

import (
	"fmt"
	"strings"
	"time"
)

// suite is a package whose tests are borrowed.
type suite struct {
	pkg     string
	timeout time.Duration // of one run of its tests; a hang is a failure
	own     bool          // package net's own tests, which need more than another import
}

// suites are in the order of what they lean on: the later ones use the earlier.
var suites = []suite{
	{pkg: "net/textproto"},
	{pkg: "net/rpc"},
	{pkg: "net/rpc/jsonrpc"},
	{pkg: "net/smtp"},
	{pkg: "log/syslog"},
	{pkg: "expvar"},
	{pkg: "net/http/httptest"},
	{pkg: "net/http/httputil"},
	{pkg: "net/http/cookiejar"},
	{pkg: "net/http/cgi"},
	{pkg: "net/http/fcgi"},
	{pkg: "net/http/httptrace"},
	{pkg: "net/http/pprof"},
	{pkg: "crypto/tls", timeout: 2 * time.Minute},
	{pkg: "net/http", timeout: 4 * time.Minute},
	{pkg: "net", timeout: 2 * time.Minute, own: true},
}

const defaultTimeout = time.Minute

// selected returns the suites of a list of packages separated by commas, all for
// an empty one.
func selected(list string) ([]suite, error) {
	var chosen []suite
	wanted := make(map[string]bool)
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" {
			wanted[p] = true
		}
	}
	all := len(wanted) == 0
	for _, s := range suites {
		if s.timeout == 0 {
			s.timeout = defaultTimeout
		}
		if all || wanted[s.pkg] {
			chosen = append(chosen, s)
			delete(wanted, s.pkg)
		}
	}
	for p := range wanted {
		return nil, fmt.Errorf("no suite %q: there are %s", p, names(suites))
	}
	return chosen, nil
}

func names(ss []suite) string {
	var ns []string
	for _, s := range ss {
		ns = append(ns, s.pkg)
	}
	return strings.Join(ns, ", ")
}
