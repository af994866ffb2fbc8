package fastnet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/fastnet-go/fastnet/nic/wire"
)

// testServer answers for fastnet.test on a network, over UDP and TCP.
type testServer struct {
	asked, overTCP atomic.Int32
	udp            *UDPConn
	tcp            *TCPListener
}

func newTestServer(t *testing.T, n *Network) *testServer {
	s := &testServer{}
	var err error
	s.udp, err = n.ListenUDP("udp", &UDPAddr{Port: 53})
	require.NoError(t, err)
	s.tcp, err = n.ListenTCP("tcp", &TCPAddr{Port: 53})
	require.NoError(t, err)
	t.Cleanup(func() { s.udp.Close(); s.tcp.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			k, from, err := s.udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			s.udp.WriteToUDPAddrPort(s.answer(b[:k], false), from)
		}
	}()
	go func() {
		for {
			c, err := s.tcp.Accept()
			if err != nil {
				return
			}
			s.overTCP.Add(1)
			var size [2]byte
			io.ReadFull(c, size[:])
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			io.ReadFull(c, b)
			a := s.answer(b, true)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			c.Close()
		}
	}()
	return s
}

func (s *testServer) answer(query []byte, tcp bool) []byte {
	s.asked.Add(1)
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}
	m.Additionals = nil
	name := func(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }
	var r dnsmessage.ResourceBody
	switch lower := strings.ToLower(q.Name.String()); {
	case !strings.HasSuffix(lower, "fastnet.test.") && q.Type != dnsmessage.TypePTR:
		m.RCode = dnsmessage.RCodeNameError
	case lower == "big.fastnet.test." && !tcp:
		m.Truncated = true
	case q.Type == dnsmessage.TypeA:
		r = &dnsmessage.AResource{A: netip.MustParseAddr(serverIP).As4()}
	case q.Type == dnsmessage.TypeAAAA:
		r = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(serverIP6).As16()}
	case q.Type == dnsmessage.TypeMX:
		r = &dnsmessage.MXResource{Pref: 5, MX: name("mail.fastnet.test.")}
	case q.Type == dnsmessage.TypeNS:
		r = &dnsmessage.NSResource{NS: name("ns.fastnet.test.")}
	case q.Type == dnsmessage.TypeTXT:
		r = &dnsmessage.TXTResource{TXT: []string{"text"}}
	case q.Type == dnsmessage.TypeSRV:
		r = &dnsmessage.SRVResource{Priority: 1, Port: 443, Target: name("www.fastnet.test.")}
	case q.Type == dnsmessage.TypePTR:
		r = &dnsmessage.PTRResource{PTR: name("host.fastnet.test.")}
	}
	if r != nil {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: r}}
	}
	b, _ := m.Pack()
	return b
}

// named is a lab whose client asks the server for names.
func named(t *testing.T, servers ...string) (*lab, *testServer) {
	l := newLab(t, labConfig{change: func(c *Config) {
		for _, s := range servers {
			c.DNS = append(c.DNS, netip.MustParseAddrPort(s))
		}
	}})
	return l, newTestServer(t, l.server)
}

func TestNamesAreLookedUpThroughTheStack(t *testing.T) {
	for _, server := range []string{serverIP + ":53", "[" + serverIP6 + "]:53"} {
		l, s := named(t, server)
		r, ctx := l.client.Resolver(), t.Context()
		hosts, err := r.LookupHost(ctx, "www.fastnet.test.")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{serverIP, serverIP6}, hosts)
		mx, err := r.LookupMX(ctx, "fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, []*MX{{Host: "mail.fastnet.test.", Pref: 5}}, mx)
		ns, err := r.LookupNS(ctx, "fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, []*NS{{Host: "ns.fastnet.test."}}, ns)
		txt, err := r.LookupTXT(ctx, "fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, []string{"text"}, txt)
		_, srv, err := r.LookupSRV(ctx, "https", "tcp", "fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, []*SRV{{Target: "www.fastnet.test.", Port: 443, Priority: 1}}, srv)
		ptr, err := r.LookupAddr(ctx, serverIP)
		require.NoError(t, err)
		require.Equal(t, []string{"host.fastnet.test."}, ptr)
		cname, err := r.LookupCNAME(ctx, "www.fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, "www.fastnet.test.", cname)
		require.Zero(t, s.overTCP.Load())
		hosts, err = r.LookupHost(ctx, "big.fastnet.test.")
		require.NoError(t, err)
		require.Len(t, hosts, 2)
		require.NotZero(t, s.overTCP.Load(), "what is truncated is asked for over TCP")
		_, err = r.LookupHost(ctx, "no.such.example.")
		var dns *DNSError
		require.ErrorAs(t, err, &dns)
		require.True(t, dns.IsNotFound)
	}
}

func TestDialAndListenByName(t *testing.T) {
	l, _ := named(t, serverIP+":53")
	ln, err := l.server.Listen("tcp", ":80")
	require.NoError(t, err)
	defer ln.Close()
	for _, network := range []string{"tcp", "tcp4", "tcp6"} {
		c, err := l.client.Dial(network, "www.fastnet.test.:80")
		require.NoError(t, err)
		require.NotNil(t, c.(*TCPConn).Stack())
		c.Close()
	}
	own := &Resolver{PreferGo: true, Dial: func(context.Context, string, string) (Conn, error) {
		return nil, errors.New("asked")
	}}
	_, err = l.client.DialWith(t.Context(), &Dialer{Resolver: own}, "tcp", "www.fastnet.test.:80")
	require.ErrorContains(t, err, "asked", "a Dialer's own resolver goes before")
}

func TestAServerThatDoesNotAnswerIsAskedLast(t *testing.T) {
	l, s := named(t, serverIP+":54", serverIP+":53")
	_, err := l.client.Resolver().LookupTXT(t.Context(), "fastnet.test.")
	require.NoError(t, err, "port 54 refuses, port 53 answers")
	for range 3 {
		before := s.asked.Load()
		_, err = l.client.Resolver().LookupTXT(t.Context(), "fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, before+1, s.asked.Load())
	}
	require.EqualValues(t, 1, l.client.servers.turn.Load())
}

// TestTheDefaultNetworksServersAreThePackages: with dns= in FASTNET all of the
// package's functions ask them, and without it they are the system's.
func TestTheDefaultNetworksServersAreThePackages(t *testing.T) {
	require.Same(t, net.DefaultResolver, resolverOf(""))
	require.Same(t, net.DefaultResolver, resolverOf("loopback:"))
	require.Same(t, net.DefaultResolver, resolverOf("nonsense"))

	w, err := wire.New(wire.Config{})
	require.NoError(t, err)
	defer w.Port(0).Close()
	defer w.Port(1).Close()
	RegisterDevice("names", w.Port(0))
	defer RegisterDevice("names", nil)
	text := "wire:names,addr=" + clientIP + "/24,dns=" + serverIP
	withDefault(t, text, func() {
		server, err := New(Config{Device: w.Port(1), Addresses: prefixes(serverIP + "/24")})
		require.NoError(t, err)
		defer server.Close()
		s := newTestServer(t, server)
		DefaultResolver = resolverOf(text)
		defer func() { DefaultResolver = net.DefaultResolver }()
		txt, err := LookupTXT("fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, []string{"text"}, txt)
		tcp, err := ResolveTCPAddr("tcp", "www.fastnet.test.:80")
		require.NoError(t, err)
		require.Equal(t, serverIP+":80", tcp.String(), "IPv4 is preferred")
		udp, err := ResolveUDPAddr("udp6", "www.fastnet.test.:80")
		require.NoError(t, err)
		require.Equal(t, "["+serverIP6+"]:80", udp.String())
		ip, err := ResolveIPAddr("ip4:icmp", "www.fastnet.test.")
		require.NoError(t, err)
		require.Equal(t, serverIP, ip.String())
		_, err = ResolveTCPAddr("tcp", "no.such.example.:80")
		require.Error(t, err)
		c, err := Dial("udp4", "www.fastnet.test.:9")
		require.NoError(t, err)
		c.Close()
		require.NotZero(t, s.asked.Load())
	})
}

func TestServersInAConfiguration(t *testing.T) {
	want := []netip.AddrPort{netip.MustParseAddrPort("10.77.0.1:53"), netip.MustParseAddrPort("[fd77::1]:5353")}
	for _, text := range []string{
		"tap:name=fast0,addr=10.77.0.2/24,dns=10.77.0.1,[fd77::1]:5353,mtu=1400",
		"tap:dns=10.77.0.1,name=fast0,dns=[fd77::1]:5353,addr=10.77.0.2/24",
	} {
		c, err := ParseConfig(text)
		require.NoError(t, err)
		require.Equal(t, want, c.DNS)
	}
	c, err := ParseConfig("loopback:dns=fd77::1")
	require.NoError(t, err)
	require.Equal(t, "[fd77::1]:53", c.DNS[0].String())
	_, err = ParseConfig("tap:name=fast0,addr=10.77.0.2/24,dns=ns.example")
	require.EqualError(t, err, "fastnet: config: dns=ns.example: not an address: write the address of a name server, as 10.77.0.1 or [fd77::1]:53")
}
