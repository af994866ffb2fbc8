package tls

import (
	cryptotls "crypto/tls"
	"net"
)

// CipherSuiteName is crypto/tls.CipherSuiteName.
func CipherSuiteName(id uint16) string { return cryptotls.CipherSuiteName(id) }

// CipherSuites is crypto/tls.CipherSuites.
func CipherSuites() []*CipherSuite { return cryptotls.CipherSuites() }

// Client is crypto/tls.Client.
func Client(conn net.Conn, config *Config) *Conn { return cryptotls.Client(conn, config) }

// InsecureCipherSuites is crypto/tls.InsecureCipherSuites.
func InsecureCipherSuites() []*CipherSuite { return cryptotls.InsecureCipherSuites() }

// LoadX509KeyPair is crypto/tls.LoadX509KeyPair.
func LoadX509KeyPair(certFile, keyFile string) (Certificate, error) {
	return cryptotls.LoadX509KeyPair(certFile, keyFile)
}

// NewLRUClientSessionCache is crypto/tls.NewLRUClientSessionCache.
func NewLRUClientSessionCache(capacity int) ClientSessionCache {
	return cryptotls.NewLRUClientSessionCache(capacity)
}

// NewListener is crypto/tls.NewListener.
func NewListener(inner net.Listener, config *Config) net.Listener {
	return cryptotls.NewListener(inner, config)
}

// NewResumptionState is crypto/tls.NewResumptionState.
func NewResumptionState(ticket []byte, state *SessionState) (*ClientSessionState, error) {
	return cryptotls.NewResumptionState(ticket, state)
}

// ParseSessionState is crypto/tls.ParseSessionState.
func ParseSessionState(data []byte) (*SessionState, error) { return cryptotls.ParseSessionState(data) }

// QUICClient is crypto/tls.QUICClient.
func QUICClient(config *QUICConfig) *QUICConn { return cryptotls.QUICClient(config) }

// QUICServer is crypto/tls.QUICServer.
func QUICServer(config *QUICConfig) *QUICConn { return cryptotls.QUICServer(config) }

// Server is crypto/tls.Server.
func Server(conn net.Conn, config *Config) *Conn { return cryptotls.Server(conn, config) }

// VersionName is crypto/tls.VersionName.
func VersionName(version uint16) string { return cryptotls.VersionName(version) }

// X509KeyPair is crypto/tls.X509KeyPair.
func X509KeyPair(certPEMBlock []byte, keyPEMBlock []byte) (Certificate, error) {
	return cryptotls.X509KeyPair(certPEMBlock, keyPEMBlock)
}
