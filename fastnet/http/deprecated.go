package http

//lint:file-ignore SA1019 the whole surface is here, with what is deprecated

import nethttp "net/http"

// Deprecated: as in net/http.
type (
	CloseNotifier = nethttp.CloseNotifier
	ProtocolError = nethttp.ProtocolError
)

// Deprecated: as in net/http.
var (
	ErrHeaderTooLong        = nethttp.ErrHeaderTooLong
	ErrMissingContentLength = nethttp.ErrMissingContentLength
	ErrShortBody            = nethttp.ErrShortBody
	ErrUnexpectedTrailer    = nethttp.ErrUnexpectedTrailer
	ErrWriteAfterFlush      = nethttp.ErrWriteAfterFlush
)
