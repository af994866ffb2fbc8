// Package tls is crypto/tls over package fastnet, for programs that open their TLS
// listeners and connections with it:
//
//	import "github.com/fastnet-go/fastnet/fastnet/tls"
//
// has every exported name of crypto/tls. Listen, Dial, DialWithDialer and Dialer
// use fastnet's default network. Everything else is crypto/tls's own: a Config,
// Conn or Certificate is the same type. Where crypto/tls has a *net.Dialer, in
// DialWithDialer and Dialer.NetDialer, this package has a *fastnet.Dialer;
// (*fastnet.Dialer)(d) makes one of the other.
//
// A network of one's own, which is not the default, needs none of this package:
// give its listener to NewListener, and its connections to Client.
package tls
