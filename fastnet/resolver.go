package fastnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/fastnet-go/fastnet/internal/defect"
)

// DefaultResolver is what LookupHost and the like, and Dial without a Resolver,
// look names up with. It is package net's, unless the default network has name
// servers (Config.DNS): then it is that network's, see Network.Resolver. A program
// may set it to another before it uses the package.
var DefaultResolver = net.DefaultResolver

func init() { DefaultResolver = resolverOf(os.Getenv("FASTNET")) }

// resolverOf is the resolver of the network that the environment describes,
// which is made when it first asks a server.
func resolverOf(text string) *Resolver {
	if text == "" {
		return net.DefaultResolver
	}
	cfg, err := parseConfig("FASTNET", text)
	if err != nil || len(cfg.DNS) == 0 {
		return net.DefaultResolver // the first Dial or Listen tells the error
	}
	return &Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (Conn, error) {
		n, err := defaultNetwork()
		if err != nil {
			return nil, err
		}
		return n.servers.dial(ctx, network, address)
	}}
}

// Resolver returns what the network's dials look names up with, unless their
// Dialer has a Resolver of its own: one that asks the servers of Config.DNS
// through the network, or DefaultResolver.
//
// The former is package net's own resolver of Go: /etc/hosts is looked at before,
// and the options of /etc/resolv.conf hold (search domains, ndots, timeout,
// attempts, single-request, use-vc), but for its servers. A server that does not
// answer is asked last from then on.
func (n *Network) Resolver() *Resolver {
	if n.servers == nil || n == theDefault.network.Load() {
		return DefaultResolver
	}
	return n.servers.resolver
}

// nameServers are the servers of a network. The Go resolver of package net dials
// those of resolv.conf; its Dial is told which, and dials one of these instead.
type nameServers struct {
	network  *Network
	addrs    []netip.AddrPort
	turn     atomic.Uint32 // the server to ask, modulo their number
	resolver *Resolver
}

func newNameServers(n *Network, addrs []netip.AddrPort) *nameServers {
	s := &nameServers{network: n, addrs: addrs}
	s.resolver = &Resolver{PreferGo: true, Dial: s.dial}
	return s
}

// dial connects to the server whose turn it is.
func (s *nameServers) dial(ctx context.Context, network, _ string) (Conn, error) {
	turn := s.turn.Load()
	to := s.addrs[int(turn)%len(s.addrs)]
	c, err := s.network.DialWith(ctx, &Dialer{Resolver: net.DefaultResolver}, network, to.String())
	if err != nil {
		s.failed(turn)
		return nil, err
	}
	if u, ok := c.(*UDPConn); ok {
		return &dnsPacketConn{UDPConn: u, servers: s, turn: turn}, nil
	}
	return &dnsConn{Conn: c, servers: s, turn: turn}, nil
}

// failed makes it the next server's turn.
func (s *nameServers) failed(turn uint32) {
	if !defect.On(defect.DeadServerAskedOn) {
		s.turn.CompareAndSwap(turn, turn+1)
	}
}

// dnsPacketConn is a UDP socket that notes whether the server answers. That it
// is a PacketConn tells the resolver how to speak.
type dnsPacketConn struct {
	*UDPConn
	servers *nameServers
	turn    uint32
}

func (c *dnsPacketConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if err != nil {
		c.servers.failed(c.turn)
	}
	return n, err
}

// dnsConn is the same for TCP.
type dnsConn struct {
	Conn
	servers *nameServers
	turn    uint32
}

func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.servers.failed(c.turn)
	}
	return n, err
}

// lookedUp replaces the host of an address by one of its IP addresses, where that
// is a name and DefaultResolver is not package net's: the Resolve functions of
// package net know theirs only. They prefer IPv4.
func lookedUp(network, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || DefaultResolver == net.DefaultResolver {
		return address, nil // package net has the error
	}
	ip, err := lookedUpIP(network, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(ip, port), nil
}

func lookedUpIP(network, host string) (string, error) {
	if _, err := netip.ParseAddr(host); err == nil || DefaultResolver == net.DefaultResolver {
		return host, nil
	}
	family := "ip"
	if last := network[max(len(network)-1, 0):]; last == "4" || last == "6" {
		family += last
	}
	ips, err := DefaultResolver.LookupNetIP(context.Background(), family, host)
	if err != nil {
		return "", err
	}
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			return ip.Unmap().String(), nil
		}
	}
	return ips[0].String(), nil
}

// ResolveIPAddr is net.ResolveIPAddr, with DefaultResolver.
func ResolveIPAddr(network, address string) (*IPAddr, error) {
	if address == "" {
		return net.ResolveIPAddr(network, address)
	}
	literal, err := lookedUpIP(cutProtocol(network), address)
	if err != nil {
		return nil, err
	}
	return net.ResolveIPAddr(network, literal)
}

// ResolveTCPAddr is net.ResolveTCPAddr, with DefaultResolver.
func ResolveTCPAddr(network, address string) (*TCPAddr, error) {
	literal, err := lookedUp(network, address)
	if err != nil {
		return nil, err
	}
	return net.ResolveTCPAddr(network, literal)
}

// ResolveUDPAddr is net.ResolveUDPAddr, with DefaultResolver.
func ResolveUDPAddr(network, address string) (*UDPAddr, error) {
	literal, err := lookedUp(network, address)
	if err != nil {
		return nil, err
	}
	return net.ResolveUDPAddr(network, literal)
}

// cutProtocol makes "ip4:icmp" "ip4".
func cutProtocol(network string) string {
	for i := range network {
		if network[i] == ':' {
			return network[:i]
		}
	}
	return network
}
