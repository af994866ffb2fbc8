package http

import nethttp "net/http"

// What opens no socket of itself is net/http's own.
type (
	Client                = nethttp.Client
	ClientConn            = nethttp.ClientConn
	ConnState             = nethttp.ConnState
	Cookie                = nethttp.Cookie
	CookieJar             = nethttp.CookieJar
	CrossOriginProtection = nethttp.CrossOriginProtection
	Dir                   = nethttp.Dir
	File                  = nethttp.File
	FileSystem            = nethttp.FileSystem
	Flusher               = nethttp.Flusher
	HTTP2Config           = nethttp.HTTP2Config
	Handler               = nethttp.Handler
	HandlerFunc           = nethttp.HandlerFunc
	Header                = nethttp.Header
	Hijacker              = nethttp.Hijacker
	MaxBytesError         = nethttp.MaxBytesError
	Protocols             = nethttp.Protocols
	PushOptions           = nethttp.PushOptions
	Pusher                = nethttp.Pusher
	Request               = nethttp.Request
	Response              = nethttp.Response
	ResponseController    = nethttp.ResponseController
	ResponseWriter        = nethttp.ResponseWriter
	RoundTripper          = nethttp.RoundTripper
	SameSite              = nethttp.SameSite
	ServeMux              = nethttp.ServeMux
	Transport             = nethttp.Transport
)
