package main

import "time"

// modules are those whose tests are borrowed. To add one, add a line; it must
// have a go.mod file that is content with the local Go.
var modules = []module{
	{"github.com/gorilla/websocket", "v1.5.3", []string{"."}, 0},
	{"github.com/tidwall/redcon", "v1.6.2", []string{"."}, 0},
	{"github.com/labstack/echo/v4", "v4.16.0", []string{".", "middleware"}, 0},
	{"github.com/miekg/dns", "v1.1.73", []string{"."}, 2 * time.Minute},
	{"github.com/gobwas/ws", "v1.5.0", []string{".", "wsutil", "wsflate", "tests"}, 0},
	{"github.com/coder/websocket", "v1.8.15", []string{"."}, 2 * time.Minute},
	{"github.com/valyala/fasthttp", "v1.65.0", []string{".", "fasthttputil", "fasthttpadaptor", "tcplisten", "reuseport", "prefork"}, 3 * time.Minute},
	{"github.com/hashicorp/yamux", "v0.1.2", []string{"."}, 0},
	{"github.com/libp2p/go-yamux/v5", "v5.1.0", []string{"."}, 2 * time.Minute},
	{"github.com/xtaci/smux", "v1.5.56", []string{"."}, 2 * time.Minute},
	{"github.com/soheilhy/cmux", "v0.1.5", []string{"."}, 0},
	{"github.com/pires/go-proxyproto", "v0.15.0", []string{".", "helper/http2"}, 0},
	{"github.com/elazarl/goproxy", "v1.9.2", []string{"."}, 0},
	{"github.com/gliderlabs/ssh", "v0.3.8", []string{"."}, 0},
	{"github.com/gomodule/redigo", "v1.9.3", []string{"redis"}, 0},
	{"github.com/alicebob/miniredis/v2", "v2.40.0", []string{"."}, 0},
	{"github.com/emersion/go-smtp", "v0.25.1", []string{"."}, 0},
	{"github.com/go-chi/chi/v5", "v5.5.0", []string{".", "middleware"}, 0},
	{"github.com/emersion/go-imap", "v1.2.1", []string{".", "client", "server"}, 0},
	{"github.com/jlaffaye/ftp", "v0.2.4", []string{"."}, 0},
	{"github.com/hashicorp/memberlist", "v0.7.0", []string{"."}, 2 * time.Minute},
	{"golang.org/x/crypto", "v0.58.0", []string{"ssh", "ssh/agent", "acme"}, 0},
	{"golang.org/x/net", "v0.62.0", []string{"nettest", "websocket", "proxy", "netutil", "webdav", "http2"}, 2 * time.Minute},
}
