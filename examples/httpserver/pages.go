package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
)

//go:embed page
var assets embed.FS

var index = template.Must(template.ParseFS(assets, "page/index.html"))

// mostBytes is the largest answer of /bytes.
const mostBytes = 1 << 30

// pages serves the page, what it draws, and something to load.
func pages(h *hosts) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := index.Execute(w, newView(h)); err != nil {
			panic(http.ErrAbortHandler) // the client is gone
		}
	})
	mux.HandleFunc("GET /page.css", asset)
	mux.HandleFunc("GET /page.js", asset)
	mux.HandleFunc("GET /icon.svg", asset)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(h.status(r.RemoteAddr))
	})
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello %s, this is %s.\n", r.RemoteAddr, h.listenAddress)
	})
	mux.HandleFunc("GET /bytes", bytes)
	return h.counted(mux)
}

// asset serves a file of the page.
func asset(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, assets, "page"+r.URL.Path)
}

// bytes answers with as many bytes as n says.
func bytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil || n < 0 || n > mostBytes {
		http.Error(w, fmt.Sprintf("n: want a number of bytes, 0 to %d", mostBytes), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	io.CopyN(w, zeros{}, n)
}

// zeros is a reader of zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// counted counts requests, and lets the page load nothing from elsewhere.
func (h *hosts) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		h.active.Add(1)
		defer h.active.Add(-1)
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// view is what the page's template shows; the rest is the script's.
type view struct {
	Zones      []zone
	URL        string
	Server     string
	Wire       bool
	DropChance string // in percent, "" for none
}

type zone struct {
	Name  string
	Stops []stop
}

func newView(h *hosts) view {
	v := view{URL: h.url, Server: h.listenAddress, Wire: h.gateway != nil}
	if h.dropChance > 0 {
		v.DropChance = strconv.FormatFloat(100*h.dropChance, 'g', 4, 64) + "%"
	}
	for _, s := range h.path() {
		if n := len(v.Zones); n == 0 || v.Zones[n-1].Name != s.Zone {
			v.Zones = append(v.Zones, zone{Name: s.Zone})
		}
		last := &v.Zones[len(v.Zones)-1]
		last.Stops = append(last.Stops, s)
	}
	return v
}
