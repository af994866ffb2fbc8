package tls

import (
	"context"
	"net"
	"strings"

	"github.com/fastnet-go/fastnet/dialer"
	"github.com/fastnet-go/fastnet/fastnet"
)

// Dialer dials TLS connections with a configuration and a fastnet.Dialer.
type Dialer struct {
	// NetDialer dials the TCP connections; nil is the zero fastnet.Dialer.
	NetDialer *fastnet.Dialer

	// Config is that of the TLS connections; nil is the zero Config. Neither is
	// changed. Without a ServerName that of the address is used.
	Config *Config
}

// Dial connects to addr and completes the handshake. The Conn is a *Conn of this
// package.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext is Dial, unless ctx ends before. Once connected, ctx has no more
// effect.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := dial(ctx, d.NetDialer, network, addr, d.Config)
	if err != nil {
		return nil, err // an untyped nil
	}
	return c, nil
}

// Dial connects to addr in the default network, and completes the handshake. A
// nil config is the zero Config.
func Dial(network, addr string, config *Config) (*Conn, error) {
	return dial(context.Background(), nil, network, addr, config)
}

// DialWithDialer is Dial with a dialer's options. Its Timeout and Deadline are for
// the connection and the handshake together.
func DialWithDialer(dialer *fastnet.Dialer, network, addr string, config *Config) (*Conn, error) {
	return dial(context.Background(), dialer, network, addr, config)
}

func dial(ctx context.Context, d *fastnet.Dialer, network, addr string, config *Config) (*Conn, error) {
	if d == nil {
		d = new(fastnet.Dialer)
	}
	ctx, cancel := dialer.Context(ctx, d.Timeout, d.Deadline, nil)
	defer cancel()
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := Client(raw, named(config, addr))
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// named returns a config with the name that the server's certificate must be
// for: that of the address unless config has one.
func named(config *Config, addr string) *Config {
	if config == nil {
		config = new(Config)
	}
	if config.ServerName != "" {
		return config
	}
	if colon := strings.LastIndexByte(addr, ':'); colon >= 0 {
		addr = addr[:colon] // brackets of IPv6 are Client's to remove
	}
	config = config.Clone()
	config.ServerName = addr
	return config
}
