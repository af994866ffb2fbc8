package tls

import cryptotls "crypto/tls"

// What opens no socket of itself is crypto/tls's own.
type (
	AlertError                   = cryptotls.AlertError
	Certificate                  = cryptotls.Certificate
	CertificateRequestInfo       = cryptotls.CertificateRequestInfo
	CertificateVerificationError = cryptotls.CertificateVerificationError
	CipherSuite                  = cryptotls.CipherSuite
	ClientAuthType               = cryptotls.ClientAuthType
	ClientHelloInfo              = cryptotls.ClientHelloInfo
	ClientSessionCache           = cryptotls.ClientSessionCache
	ClientSessionState           = cryptotls.ClientSessionState
	Config                       = cryptotls.Config
	Conn                         = cryptotls.Conn
	ConnectionState              = cryptotls.ConnectionState
	CurveID                      = cryptotls.CurveID
	ECHRejectionError            = cryptotls.ECHRejectionError
	EncryptedClientHelloKey      = cryptotls.EncryptedClientHelloKey
	QUICConfig                   = cryptotls.QUICConfig
	QUICConn                     = cryptotls.QUICConn
	QUICEncryptionLevel          = cryptotls.QUICEncryptionLevel
	QUICEvent                    = cryptotls.QUICEvent
	QUICEventKind                = cryptotls.QUICEventKind
	QUICSessionTicketOptions     = cryptotls.QUICSessionTicketOptions
	RecordHeaderError            = cryptotls.RecordHeaderError
	RenegotiationSupport         = cryptotls.RenegotiationSupport
	SessionState                 = cryptotls.SessionState
	SignatureScheme              = cryptotls.SignatureScheme
)
