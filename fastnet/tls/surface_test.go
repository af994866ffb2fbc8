package tls_test

import (
	"context"
	cryptotls "crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/fastnet/tls"
	"github.com/fastnet-go/fastnet/internal/surface"
)

// What has a *net.Dialer in crypto/tls has a *fastnet.Dialer here.
var (
	_ func(*fastnet.Dialer, string, string, *cryptotls.Config) (*cryptotls.Conn, error) = tls.DialWithDialer

	_ = tls.Dialer{NetDialer: new(fastnet.Dialer), Config: new(cryptotls.Config)}
	_ interface {
		Dial(network, addr string) (net.Conn, error)
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = new(tls.Dialer)
)

// TestSurfaceIsThatOfCryptoTLS compares every exported name with the crypto/tls
// that is installed.
func TestSurfaceIsThatOfCryptoTLS(t *testing.T) {
	list, err := surface.Compare("crypto/tls", "github.com/fastnet-go/fastnet/fastnet/tls")
	require.NoError(t, err)
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	require.Equal(t, []string{"DialWithDialer", "Dialer"}, names, "%v", list)
}
