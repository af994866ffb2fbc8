package http

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	nethttp "net/http"
	"net/url"
	"time"
)

// AllowQuerySemicolons is net/http.AllowQuerySemicolons.
func AllowQuerySemicolons(h Handler) Handler { return nethttp.AllowQuerySemicolons(h) }

// CanonicalHeaderKey is net/http.CanonicalHeaderKey.
func CanonicalHeaderKey(s string) string { return nethttp.CanonicalHeaderKey(s) }

// DetectContentType is net/http.DetectContentType.
func DetectContentType(data []byte) string { return nethttp.DetectContentType(data) }

// Error is net/http.Error.
func Error(w ResponseWriter, error string, code int) { nethttp.Error(w, error, code) }

// FS is net/http.FS.
func FS(fsys fs.FS) FileSystem { return nethttp.FS(fsys) }

// FileServer is net/http.FileServer.
func FileServer(root FileSystem) Handler { return nethttp.FileServer(root) }

// FileServerFS is net/http.FileServerFS.
func FileServerFS(root fs.FS) Handler { return nethttp.FileServerFS(root) }

// MaxBytesHandler is net/http.MaxBytesHandler.
func MaxBytesHandler(h Handler, n int64) Handler { return nethttp.MaxBytesHandler(h, n) }

// MaxBytesReader is net/http.MaxBytesReader.
func MaxBytesReader(w ResponseWriter, r io.ReadCloser, n int64) io.ReadCloser {
	return nethttp.MaxBytesReader(w, r, n)
}

// NewCrossOriginProtection is net/http.NewCrossOriginProtection.
func NewCrossOriginProtection() *CrossOriginProtection { return nethttp.NewCrossOriginProtection() }

// NewFileTransport is net/http.NewFileTransport.
func NewFileTransport(fs FileSystem) RoundTripper { return nethttp.NewFileTransport(fs) }

// NewFileTransportFS is net/http.NewFileTransportFS.
func NewFileTransportFS(fsys fs.FS) RoundTripper { return nethttp.NewFileTransportFS(fsys) }

// NewRequest is net/http.NewRequest.
func NewRequest(method, url string, body io.Reader) (*Request, error) {
	return nethttp.NewRequest(method, url, body)
}

// NewRequestWithContext is net/http.NewRequestWithContext.
func NewRequestWithContext(ctx context.Context, method, url string, body io.Reader) (*Request, error) {
	return nethttp.NewRequestWithContext(ctx, method, url, body)
}

// NewResponseController is net/http.NewResponseController.
func NewResponseController(rw ResponseWriter) *ResponseController {
	return nethttp.NewResponseController(rw)
}

// NewServeMux is net/http.NewServeMux.
func NewServeMux() *ServeMux { return nethttp.NewServeMux() }

// NotFound is net/http.NotFound.
func NotFound(w ResponseWriter, r *Request) { nethttp.NotFound(w, r) }

// NotFoundHandler is net/http.NotFoundHandler.
func NotFoundHandler() Handler { return nethttp.NotFoundHandler() }

// ParseCookie is net/http.ParseCookie.
func ParseCookie(line string) ([]*Cookie, error) { return nethttp.ParseCookie(line) }

// ParseHTTPVersion is net/http.ParseHTTPVersion.
func ParseHTTPVersion(vers string) (major int, minor int, ok bool) {
	return nethttp.ParseHTTPVersion(vers)
}

// ParseSetCookie is net/http.ParseSetCookie.
func ParseSetCookie(line string) (*Cookie, error) { return nethttp.ParseSetCookie(line) }

// ParseTime is net/http.ParseTime.
func ParseTime(text string) (t time.Time, err error) { return nethttp.ParseTime(text) }

// ProxyFromEnvironment is net/http.ProxyFromEnvironment.
func ProxyFromEnvironment(req *Request) (*url.URL, error) { return nethttp.ProxyFromEnvironment(req) }

// ProxyURL is net/http.ProxyURL.
func ProxyURL(fixedURL *url.URL) func(*Request) (*url.URL, error) { return nethttp.ProxyURL(fixedURL) }

// ReadRequest is net/http.ReadRequest.
func ReadRequest(b *bufio.Reader) (*Request, error) { return nethttp.ReadRequest(b) }

// ReadResponse is net/http.ReadResponse.
func ReadResponse(r *bufio.Reader, req *Request) (*Response, error) {
	return nethttp.ReadResponse(r, req)
}

// Redirect is net/http.Redirect.
func Redirect(w ResponseWriter, r *Request, url string, code int) { nethttp.Redirect(w, r, url, code) }

// RedirectHandler is net/http.RedirectHandler.
func RedirectHandler(url string, code int) Handler { return nethttp.RedirectHandler(url, code) }

// ServeContent is net/http.ServeContent.
func ServeContent(w ResponseWriter, req *Request, name string, modtime time.Time, content io.ReadSeeker) {
	nethttp.ServeContent(w, req, name, modtime, content)
}

// ServeFile is net/http.ServeFile.
func ServeFile(w ResponseWriter, r *Request, name string) { nethttp.ServeFile(w, r, name) }

// ServeFileFS is net/http.ServeFileFS.
func ServeFileFS(w ResponseWriter, r *Request, fsys fs.FS, name string) {
	nethttp.ServeFileFS(w, r, fsys, name)
}

// SetCookie is net/http.SetCookie.
func SetCookie(w ResponseWriter, cookie *Cookie) { nethttp.SetCookie(w, cookie) }

// StripPrefix is net/http.StripPrefix.
func StripPrefix(prefix string, h Handler) Handler { return nethttp.StripPrefix(prefix, h) }

// TimeoutHandler is net/http.TimeoutHandler.
func TimeoutHandler(h Handler, dt time.Duration, msg string) Handler {
	return nethttp.TimeoutHandler(h, dt, msg)
}
