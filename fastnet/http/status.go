package http

import nethttp "net/http"

// Status codes, in the order of their numbers.
const (
	StatusContinue           = nethttp.StatusContinue
	StatusSwitchingProtocols = nethttp.StatusSwitchingProtocols
	StatusProcessing         = nethttp.StatusProcessing
	StatusEarlyHints         = nethttp.StatusEarlyHints

	StatusOK                   = nethttp.StatusOK
	StatusCreated              = nethttp.StatusCreated
	StatusAccepted             = nethttp.StatusAccepted
	StatusNonAuthoritativeInfo = nethttp.StatusNonAuthoritativeInfo
	StatusNoContent            = nethttp.StatusNoContent
	StatusResetContent         = nethttp.StatusResetContent
	StatusPartialContent       = nethttp.StatusPartialContent
	StatusMultiStatus          = nethttp.StatusMultiStatus
	StatusAlreadyReported      = nethttp.StatusAlreadyReported
	StatusIMUsed               = nethttp.StatusIMUsed

	StatusMultipleChoices   = nethttp.StatusMultipleChoices
	StatusMovedPermanently  = nethttp.StatusMovedPermanently
	StatusFound             = nethttp.StatusFound
	StatusSeeOther          = nethttp.StatusSeeOther
	StatusNotModified       = nethttp.StatusNotModified
	StatusUseProxy          = nethttp.StatusUseProxy
	StatusTemporaryRedirect = nethttp.StatusTemporaryRedirect
	StatusPermanentRedirect = nethttp.StatusPermanentRedirect

	StatusBadRequest                   = nethttp.StatusBadRequest
	StatusUnauthorized                 = nethttp.StatusUnauthorized
	StatusPaymentRequired              = nethttp.StatusPaymentRequired
	StatusForbidden                    = nethttp.StatusForbidden
	StatusNotFound                     = nethttp.StatusNotFound
	StatusMethodNotAllowed             = nethttp.StatusMethodNotAllowed
	StatusNotAcceptable                = nethttp.StatusNotAcceptable
	StatusProxyAuthRequired            = nethttp.StatusProxyAuthRequired
	StatusRequestTimeout               = nethttp.StatusRequestTimeout
	StatusConflict                     = nethttp.StatusConflict
	StatusGone                         = nethttp.StatusGone
	StatusLengthRequired               = nethttp.StatusLengthRequired
	StatusPreconditionFailed           = nethttp.StatusPreconditionFailed
	StatusRequestEntityTooLarge        = nethttp.StatusRequestEntityTooLarge
	StatusRequestURITooLong            = nethttp.StatusRequestURITooLong
	StatusUnsupportedMediaType         = nethttp.StatusUnsupportedMediaType
	StatusRequestedRangeNotSatisfiable = nethttp.StatusRequestedRangeNotSatisfiable
	StatusExpectationFailed            = nethttp.StatusExpectationFailed
	StatusTeapot                       = nethttp.StatusTeapot
	StatusMisdirectedRequest           = nethttp.StatusMisdirectedRequest
	StatusUnprocessableEntity          = nethttp.StatusUnprocessableEntity
	StatusLocked                       = nethttp.StatusLocked
	StatusFailedDependency             = nethttp.StatusFailedDependency
	StatusTooEarly                     = nethttp.StatusTooEarly
	StatusUpgradeRequired              = nethttp.StatusUpgradeRequired
	StatusPreconditionRequired         = nethttp.StatusPreconditionRequired
	StatusTooManyRequests              = nethttp.StatusTooManyRequests
	StatusRequestHeaderFieldsTooLarge  = nethttp.StatusRequestHeaderFieldsTooLarge
	StatusUnavailableForLegalReasons   = nethttp.StatusUnavailableForLegalReasons

	StatusInternalServerError           = nethttp.StatusInternalServerError
	StatusNotImplemented                = nethttp.StatusNotImplemented
	StatusBadGateway                    = nethttp.StatusBadGateway
	StatusServiceUnavailable            = nethttp.StatusServiceUnavailable
	StatusGatewayTimeout                = nethttp.StatusGatewayTimeout
	StatusHTTPVersionNotSupported       = nethttp.StatusHTTPVersionNotSupported
	StatusVariantAlsoNegotiates         = nethttp.StatusVariantAlsoNegotiates
	StatusInsufficientStorage           = nethttp.StatusInsufficientStorage
	StatusLoopDetected                  = nethttp.StatusLoopDetected
	StatusNotExtended                   = nethttp.StatusNotExtended
	StatusNetworkAuthenticationRequired = nethttp.StatusNetworkAuthenticationRequired
)

// StatusText is net/http.StatusText.
func StatusText(code int) string { return nethttp.StatusText(code) }
