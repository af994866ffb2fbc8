package http

import (
	"io"
	"net/url"
	"time"

	"github.com/fastnet-go/fastnet/fastnet"
)

// DefaultTransport is a *Transport as net/http's DefaultTransport is, but dials
// through the default network. DefaultClient uses it, also when a program has put
// another RoundTripper in its place.
var DefaultTransport RoundTripper = &Transport{
	Proxy: ProxyFromEnvironment,
	DialContext: (&fastnet.Dialer{
		Timeout:   30 * time.Second,
		KeepAlive: 30 * time.Second,
	}).DialContext,
	ForceAttemptHTTP2:     true,
	MaxIdleConns:          100,
	IdleConnTimeout:       90 * time.Second,
	TLSHandshakeTimeout:   10 * time.Second,
	ExpectContinueTimeout: time.Second,
}

// DefaultClient is the Client of Get, Head, Post and PostForm. It uses
// DefaultTransport.
var DefaultClient = &Client{Transport: byDefault{}}

// byDefault is whatever DefaultTransport is at the time. (A Client without a
// Transport would look into net/http's variable.)
type byDefault struct{}

func (byDefault) RoundTrip(r *Request) (*Response, error) { return DefaultTransport.RoundTrip(r) }

// CloseIdleConnections is for Client.CloseIdleConnections.
func (byDefault) CloseIdleConnections() {
	if t, ok := DefaultTransport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Get is net/http.Get with our DefaultClient.
func Get(url string) (resp *Response, err error) { return DefaultClient.Get(url) }

// Head is net/http.Head with our DefaultClient.
func Head(url string) (resp *Response, err error) { return DefaultClient.Head(url) }

// Post is net/http.Post with our DefaultClient.
func Post(url, contentType string, body io.Reader) (resp *Response, err error) {
	return DefaultClient.Post(url, contentType, body)
}

// PostForm is net/http.PostForm with our DefaultClient.
func PostForm(url string, data url.Values) (resp *Response, err error) {
	return DefaultClient.PostForm(url, data)
}
