package http

import nethttp "net/http"

// Methods of requests.
const (
	MethodConnect = nethttp.MethodConnect
	MethodDelete  = nethttp.MethodDelete
	MethodGet     = nethttp.MethodGet
	MethodHead    = nethttp.MethodHead
	MethodOptions = nethttp.MethodOptions
	MethodPatch   = nethttp.MethodPatch
	MethodPost    = nethttp.MethodPost
	MethodPut     = nethttp.MethodPut
	MethodTrace   = nethttp.MethodTrace
)

// Values of SameSite.
const (
	SameSiteDefaultMode = nethttp.SameSiteDefaultMode
	SameSiteLaxMode     = nethttp.SameSiteLaxMode
	SameSiteNoneMode    = nethttp.SameSiteNoneMode
	SameSiteStrictMode  = nethttp.SameSiteStrictMode
)

// Values of ConnState.
const (
	StateNew      = nethttp.StateNew
	StateActive   = nethttp.StateActive
	StateIdle     = nethttp.StateIdle
	StateHijacked = nethttp.StateHijacked
	StateClosed   = nethttp.StateClosed
)

// Defaults, and forms of headers.
const (
	DefaultMaxHeaderBytes      = nethttp.DefaultMaxHeaderBytes
	DefaultMaxIdleConnsPerHost = nethttp.DefaultMaxIdleConnsPerHost
	TimeFormat                 = nethttp.TimeFormat
	TrailerPrefix              = nethttp.TrailerPrefix
)

// The values of net/http's errors.
var (
	ErrAbortHandler       = nethttp.ErrAbortHandler
	ErrBodyNotAllowed     = nethttp.ErrBodyNotAllowed
	ErrBodyReadAfterClose = nethttp.ErrBodyReadAfterClose
	ErrContentLength      = nethttp.ErrContentLength
	ErrHandlerTimeout     = nethttp.ErrHandlerTimeout
	ErrHijacked           = nethttp.ErrHijacked
	ErrLineTooLong        = nethttp.ErrLineTooLong
	ErrMissingBoundary    = nethttp.ErrMissingBoundary
	ErrMissingFile        = nethttp.ErrMissingFile
	ErrNoCookie           = nethttp.ErrNoCookie
	ErrNoLocation         = nethttp.ErrNoLocation
	ErrNotMultipart       = nethttp.ErrNotMultipart
	ErrNotSupported       = nethttp.ErrNotSupported
	ErrSchemeMismatch     = nethttp.ErrSchemeMismatch
	ErrServerClosed       = nethttp.ErrServerClosed
	ErrSkipAltProtocol    = nethttp.ErrSkipAltProtocol
	ErrUseLastResponse    = nethttp.ErrUseLastResponse
)

// NoBody, and the keys of what the server puts into a request's context. The
// value of ServerContextKey is a *Server of net/http's.
var (
	LocalAddrContextKey = nethttp.LocalAddrContextKey
	NoBody              = nethttp.NoBody
	ServerContextKey    = nethttp.ServerContextKey
)
