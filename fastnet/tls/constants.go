package tls

import cryptotls "crypto/tls"

// Versions of the protocol.
const (
	VersionTLS10 = cryptotls.VersionTLS10
	VersionTLS11 = cryptotls.VersionTLS11
	VersionTLS12 = cryptotls.VersionTLS12
	VersionTLS13 = cryptotls.VersionTLS13
)

// Cipher suites.
const (
	TLS_AES_128_GCM_SHA256                        = cryptotls.TLS_AES_128_GCM_SHA256
	TLS_AES_256_GCM_SHA384                        = cryptotls.TLS_AES_256_GCM_SHA384
	TLS_CHACHA20_POLY1305_SHA256                  = cryptotls.TLS_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA          = cryptotls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256       = cryptotls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       = cryptotls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA          = cryptotls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       = cryptotls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305        = cryptotls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = cryptotls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_ECDSA_WITH_RC4_128_SHA              = cryptotls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA
	TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA           = cryptotls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA            = cryptotls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256         = cryptotls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256         = cryptotls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA            = cryptotls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         = cryptotls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305          = cryptotls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   = cryptotls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_RSA_WITH_RC4_128_SHA                = cryptotls.TLS_ECDHE_RSA_WITH_RC4_128_SHA
	TLS_FALLBACK_SCSV                             = cryptotls.TLS_FALLBACK_SCSV
	TLS_RSA_WITH_3DES_EDE_CBC_SHA                 = cryptotls.TLS_RSA_WITH_3DES_EDE_CBC_SHA
	TLS_RSA_WITH_AES_128_CBC_SHA                  = cryptotls.TLS_RSA_WITH_AES_128_CBC_SHA
	TLS_RSA_WITH_AES_128_CBC_SHA256               = cryptotls.TLS_RSA_WITH_AES_128_CBC_SHA256
	TLS_RSA_WITH_AES_128_GCM_SHA256               = cryptotls.TLS_RSA_WITH_AES_128_GCM_SHA256
	TLS_RSA_WITH_AES_256_CBC_SHA                  = cryptotls.TLS_RSA_WITH_AES_256_CBC_SHA
	TLS_RSA_WITH_AES_256_GCM_SHA384               = cryptotls.TLS_RSA_WITH_AES_256_GCM_SHA384
	TLS_RSA_WITH_RC4_128_SHA                      = cryptotls.TLS_RSA_WITH_RC4_128_SHA
)

// Values of CurveID.
const (
	CurveP256          = cryptotls.CurveP256
	CurveP384          = cryptotls.CurveP384
	CurveP521          = cryptotls.CurveP521
	SecP256r1MLKEM768  = cryptotls.SecP256r1MLKEM768
	SecP384r1MLKEM1024 = cryptotls.SecP384r1MLKEM1024
	X25519             = cryptotls.X25519
	X25519MLKEM768     = cryptotls.X25519MLKEM768
)

// Values of SignatureScheme.
const (
	ECDSAWithP256AndSHA256 = cryptotls.ECDSAWithP256AndSHA256
	ECDSAWithP384AndSHA384 = cryptotls.ECDSAWithP384AndSHA384
	ECDSAWithP521AndSHA512 = cryptotls.ECDSAWithP521AndSHA512
	ECDSAWithSHA1          = cryptotls.ECDSAWithSHA1
	Ed25519                = cryptotls.Ed25519
	PKCS1WithSHA1          = cryptotls.PKCS1WithSHA1
	PKCS1WithSHA256        = cryptotls.PKCS1WithSHA256
	PKCS1WithSHA384        = cryptotls.PKCS1WithSHA384
	PKCS1WithSHA512        = cryptotls.PKCS1WithSHA512
	PSSWithSHA256          = cryptotls.PSSWithSHA256
	PSSWithSHA384          = cryptotls.PSSWithSHA384
	PSSWithSHA512          = cryptotls.PSSWithSHA512
)

// Values of ClientAuthType.
const (
	NoClientCert               = cryptotls.NoClientCert
	RequestClientCert          = cryptotls.RequestClientCert
	RequireAnyClientCert       = cryptotls.RequireAnyClientCert
	VerifyClientCertIfGiven    = cryptotls.VerifyClientCertIfGiven
	RequireAndVerifyClientCert = cryptotls.RequireAndVerifyClientCert
)

// Values of RenegotiationSupport.
const (
	RenegotiateFreelyAsClient = cryptotls.RenegotiateFreelyAsClient
	RenegotiateNever          = cryptotls.RenegotiateNever
	RenegotiateOnceAsClient   = cryptotls.RenegotiateOnceAsClient
)

// Values of QUICEncryptionLevel and QUICEventKind.
const (
	QUICEncryptionLevelApplication  = cryptotls.QUICEncryptionLevelApplication
	QUICEncryptionLevelEarly        = cryptotls.QUICEncryptionLevelEarly
	QUICEncryptionLevelHandshake    = cryptotls.QUICEncryptionLevelHandshake
	QUICEncryptionLevelInitial      = cryptotls.QUICEncryptionLevelInitial
	QUICErrorEvent                  = cryptotls.QUICErrorEvent
	QUICHandshakeDone               = cryptotls.QUICHandshakeDone
	QUICNoEvent                     = cryptotls.QUICNoEvent
	QUICRejectedEarlyData           = cryptotls.QUICRejectedEarlyData
	QUICResumeSession               = cryptotls.QUICResumeSession
	QUICSetReadSecret               = cryptotls.QUICSetReadSecret
	QUICSetWriteSecret              = cryptotls.QUICSetWriteSecret
	QUICStoreSession                = cryptotls.QUICStoreSession
	QUICTransportParameters         = cryptotls.QUICTransportParameters
	QUICTransportParametersRequired = cryptotls.QUICTransportParametersRequired
	QUICWriteData                   = cryptotls.QUICWriteData
)
