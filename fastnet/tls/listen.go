package tls

import (
	"errors"
	"net"

	"github.com/fastnet-go/fastnet/fastnet"
)

// Listen accepts TLS connections on an address of the default network. config
// must have a certificate, GetCertificate or GetConfigForClient.
func Listen(network, laddr string, config *Config) (net.Listener, error) {
	// As in crypto/tls the mistake shows before an address is taken.
	if config == nil || len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("tls: neither Certificates, GetCertificate, nor GetConfigForClient set in Config")
	}
	l, err := fastnet.Listen(network, laddr)
	if err != nil {
		return nil, err
	}
	return NewListener(l, config), nil
}
