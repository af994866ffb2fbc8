package main

import "strings"

// stop is a place on the path of a request.
type stop struct {
	ID    string // the page shows numbers by it
	Zone  string // stops of one zone are next to each other
	Name  string
	About string // for the terminal and the page
	Cable bool   // not a place but a stretch: packets are drawn on it
}

// The zones of a path.
const (
	zoneClient  = "The client"
	zoneKernel  = "The kernel"
	zoneProcess = "This program: one Go process"
)

// path is the way of a request, from the client to net/http.
func (h *hosts) path() []stop {
	address := strings.TrimSuffix(strings.TrimPrefix(h.url, "http://"), "/")
	client := stop{ID: "client", Zone: zoneClient, Name: "Browser", About: "or curl, unchanged"}
	server := []stop{
		{ID: "server", Zone: zoneProcess, Name: "Server's stack", About: h.listenAddress},
		{ID: "http", Zone: zoneProcess, Name: "net/http", About: "handlers of Go's own"},
	}
	if h.nic == "tap" {
		return append([]stop{client,
			{ID: "kernel", Zone: zoneKernel, Name: "Kernel's TCP", About: nearAddress.Addr().String()},
			{ID: "cable", Zone: zoneProcess, Name: "TAP " + tapName, About: "an Ethernet to the kernel", Cable: true},
		}, server...)
	}
	return append([]stop{client,
		{ID: "kernel", Zone: zoneKernel, Name: "Kernel's TCP", About: address},
		{ID: "gateway", Zone: zoneProcess, Name: "Gateway", About: "copies bytes both ways"},
		{ID: "near", Zone: zoneProcess, Name: "Gateway's stack", About: nearAddress.Addr().String()},
		{ID: "cable", Zone: zoneProcess, Name: "nic/wire", About: "an Ethernet in memory", Cable: true},
	}, server...)
}
