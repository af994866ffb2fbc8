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
	long    bool          // with the tests that -short leaves out, in any run
	own     bool          // package net's own tests, which need more than another import
	skip    []string      // top-level tests that are not run, either way
	module  *module       // that the package is in; nil: the standard library
}

// suites are in the order of what they lean on: the later ones use the earlier.
var suites = append(standard, thirdParty()...)

func thirdParty() (ss []suite) {
	for i := range modules {
		ss = append(ss, modules[i].suites()...)
	}
	return ss
}

// standard are packages of the standard library. Half of what package net tests
// is left out of a short run.
var standard = []suite{
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
	{pkg: "net", timeout: 3 * time.Minute, long: true, own: true, skip: outside},
}

// outside are tests of package net's that ask or dial servers of the Internet, or
// make interfaces in the machine's network namespace: what they come to says more
// about the machine than about a package.
var outside = []string{
	"TestCgoLookupCNAME", "TestConcurrentPreferGoResolversDial", "TestDialCancel", "TestDialGoogle",
	"TestInterfaceArrivalAndDeparture", "TestInterfaceArrivalAndDepartureZoneCache",
	"TestLookupCNAME", "TestLookupContextCancel", "TestLookupGmailMX", "TestLookupGmailNS", "TestLookupGmailTXT",
	"TestLookupGoogleHost", "TestLookupGoogleIP", "TestLookupGooglePublicDNSAddr", "TestLookupGoogleSRV",
	"TestLookupHostCancel", "TestLookupLongTXT", "TestPointToPointInterface", "TestResolveGoogle",
}

const defaultTimeout = time.Minute

// selected returns the suites of a list of packages separated by commas, all for
// an empty one. "std" stands for those of the standard library, and a package
// that ends with "/..." for all below it.
func selected(list string) ([]suite, error) {
	var patterns []string
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p != "" {
			patterns = append(patterns, p)
		}
	}
	var chosen []suite
	used := make(map[string]bool)
	for _, s := range suites {
		if s.timeout == 0 {
			s.timeout = defaultTimeout
		}
		wanted := len(patterns) == 0
		for _, p := range patterns {
			if s.matches(p) {
				wanted, used[p] = true, true
			}
		}
		if wanted {
			chosen = append(chosen, s)
		}
	}
	for _, p := range patterns {
		if !used[p] {
			return nil, fmt.Errorf("no suite %q: there are %s", p, names(suites))
		}
	}
	return chosen, nil
}

// name is what the report calls the suite.
func (s suite) name() string {
	if s.module == nil {
		return s.pkg
	}
	return s.pkg + " " + s.module.version
}

func (s suite) matches(pattern string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return s.pkg == below || strings.HasPrefix(s.pkg, below+"/")
	}
	return s.pkg == pattern || pattern == "std" && s.module == nil
}

func names(ss []suite) string {
	var ns []string
	for _, s := range ss {
		ns = append(ns, s.pkg)
	}
	return strings.Join(ns, ", ")
}
