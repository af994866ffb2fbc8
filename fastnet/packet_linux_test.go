package fastnet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/internal/netlab"
)

// packetLab is a network by packet sockets at one end of a veth pair, and the
// kernel's stack at the other.
type packetLab struct {
	netlab.Cable
	n *Network
}

const packetKernel, packetOurs = "10.178.0.1", "10.178.0.2"

// newPacketLab: setup may change the veth pair before the network is there.
func newPacketLab(t testing.TB, more string, setup func(l *packetLab)) *packetLab {
	t.Helper()
	l := &packetLab{Cable: netlab.NewCable(t, packetKernel+"/24", "fd78::1/64")}
	if setup != nil {
		setup(l)
	}
	before := goroutines()
	cfg, err := ParseConfig(fmt.Sprintf("packet:fnb,netns=%s,addr=%s/24,addr=fd78::2/64,gw=%s,loopback=stack%s", l.Ours, packetOurs, packetKernel, more))
	require.NoError(t, err)
	l.n, err = New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, l.n.Close())
		noneLeft(t, before)
		for deadline := time.Now().Add(longWait); l.Ours.Shell(t, "wc -l </proc/net/packet") != "1\n"; { // the heading
			require.True(t, time.Now().Before(deadline), "a packet socket is left")
		}
	})
	return l
}

// dial is the kernel's Dial at the other end.
func (l *packetLab) dial(_ context.Context, network, address string) (c net.Conn, err error) {
	err = l.Theirs.Do(func() (err error) {
		c, err = net.DialTimeout(network, address, time.Minute)
		return err
	})
	return c, err
}

func (l *packetLab) listen(t testing.TB, address string) (ln net.Listener) {
	t.Helper()
	require.NoError(t, l.Theirs.Do(func() (err error) {
		ln, err = net.Listen("tcp", address)
		return err
	}))
	return ln
}

// packetCases are what the two ends of the cable do of the other's work.
var packetCases = map[string]struct {
	more  string
	setup string // features of both ends
}{
	"offloads":       {"", ""},
	"no offloads":    {"", "tx off sg off tso off gso off gro off"},
	"none of ours":   {",offload=false", ""},
	"none at all":    {",offload=false", "tx off sg off tso off gso off gro off"},
	"several queues": {",queues=3", ""},
	"own MAC":        {",mac=auto,bypass=true", ""},
}

func TestPacketSocketsServeTheKernelsClients(t *testing.T) {
	for name, c := range packetCases {
		t.Run(name, func(t *testing.T) {
			l := newPacketLab(t, c.more, func(l *packetLab) {
				if c.setup != "" {
					l.Ours.Shell(t, "ethtool -K fnb "+c.setup)
					l.Theirs.Shell(t, "ethtool -K fna "+c.setup)
				}
			})
			big := strings.Repeat("0123456789abcdef", 1<<15)
			ln, err := l.n.Listen("tcp", ":80")
			require.NoError(t, err)
			serve(t, ln, http.HandlerFunc(site))
			kernel := &http.Client{Transport: &http.Transport{DialContext: l.dial}, Timeout: 5 * time.Minute}
			defer kernel.CloseIdleConnections()
			for _, ip := range []string{packetOurs, "[fd78::2]"} {
				url := "http://" + ip + "/x"
				require.Equal(t, "GET /x ", get(t, kernel, url))
				r, err := kernel.Post(url, "text/plain", strings.NewReader(big))
				require.NoError(t, err)
				require.Equal(t, int64(len("POST /x ")+3*len(big)), readLen(t, r))
			}

			// The other way.
			for _, ip := range []string{packetKernel, "[fd78::1]"} {
				k := l.listen(t, ip+":0")
				serve(t, k, http.HandlerFunc(site))
				c := client(t, l.n)
				url := "http://" + k.Addr().String() + "/y"
				require.Equal(t, "GET /y ", get(t, c, url))
				r, err := c.Post(url, "text/plain", strings.NewReader(big))
				require.NoError(t, err)
				require.Equal(t, int64(len("POST /y ")+3*len(big)), readLen(t, r))
			}
			require.Empty(t, l.n.Stats().Fallbacks)
			require.NotZero(t, l.n.Stats().Device.RxPackets)
		})
	}
}

func TestPacketSocketsUDP(t *testing.T) {
	l := newPacketLab(t, ",queues=2", nil)
	u, err := l.n.ListenUDP("udp", &net.UDPAddr{Port: 5353})
	require.NoError(t, err)
	defer u.Close()
	for _, address := range []string{packetOurs + ":5353", "[fd78::2]:5353"} {
		k, err := l.dial(context.Background(), "udp", address)
		require.NoError(t, err)
		defer k.Close()
		require.NoError(t, k.SetDeadline(time.Now().Add(time.Minute)))
		for _, size := range []int{1, 1472, 5000} { // the last one in fragments
			want := []byte(strings.Repeat("x", size))
			_, err = k.Write(want)
			require.NoError(t, err)
			b := make([]byte, 8192)
			m, from, err := u.ReadFromUDPAddrPort(b)
			require.NoError(t, err)
			_, err = u.WriteToUDPAddrPort(b[:m], from)
			require.NoError(t, err)
			m, err = k.Read(b)
			require.NoError(t, err)
			require.Equal(t, want, b[:m])
		}
	}
}

// TestPacketSocketsSurviveTheLink: a transfer goes on over a link that goes down,
// comes back, and has another MTU.
func TestPacketSocketsSurviveTheLink(t *testing.T) {
	l := newPacketLab(t, "", nil)
	ln, err := l.n.Listen("tcp", ":80")
	require.NoError(t, err)
	defer ln.Close()
	data := make([]byte, 24<<20)
	for i := range data {
		data[i] = byte(i * 31 >> 3)
	}
	sent := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			if _, err = c.Write(data); err == nil {
				err = c.Close()
			}
		}
		sent <- err
	}()
	c, err := l.dial(context.Background(), "tcp", packetOurs+":80")
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Minute)))
	sum := sha256.New()
	for i, change := range []string{"ip link set fnb down; sleep 0.05; ip link set fnb up", "ip link set fnb mtu 1300", "ip link set fnb mtu 1500", ""} {
		n, err := io.CopyN(sum, c, int64(len(data)/4))
		require.NoError(t, err, "part %d: %d bytes", i, n)
		if change != "" {
			l.Ours.Shell(t, change)
		}
	}
	require.NoError(t, <-sent)
	want := sha256.Sum256(data)
	require.Equal(t, want[:], sum.Sum(nil))
}

func TestPacketSocketsEndWithTheirInterface(t *testing.T) {
	l := newPacketLab(t, "", nil)
	ln, err := l.n.Listen("tcp", ":80")
	require.NoError(t, err)
	c, err := l.dial(context.Background(), "tcp", packetOurs+":80")
	require.NoError(t, err)
	defer c.Close()
	s, err := ln.Accept()
	require.NoError(t, err)
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	l.Theirs.Shell(t, "ip link delete fna")
	select {
	case err := <-read:
		require.Error(t, err)
	case <-time.After(time.Minute):
		t.Fatal("Read is stuck on a device that is gone")
	}
	_, err = l.n.Dial("tcp", packetKernel+":80")
	require.Error(t, err)
}

func TestPacketConfiguration(t *testing.T) {
	c, err := ParseConfig("packet:eth0,addr=10.0.0.2/24,queues=2,mac=02:00:00:00:00:07,offload=false,bypass=true,netns=/run/netns/x")
	require.NoError(t, err)
	require.Equal(t, "eth0", c.Packet.Interface)
	require.Equal(t, 2, c.Packet.Queues)
	require.EqualValues(t, 7, c.Packet.MAC[5])
	require.True(t, c.Packet.NoOffload && c.Packet.QdiscBypass && !c.Packet.OwnMAC)
	require.Equal(t, "/run/netns/x", c.Packet.NetNS)
	for text, want := range map[string]string{
		"packet:addr=10.0.0.2/24":               "no name: write that of an Ethernet interface of the kernel's, as packet:eth0",
		"packet:eth0":                           "no address: write addr=",
		"packet:eth0,mac=1,addr=10.0.0.2/24":    "mac=1: not the MAC address of a host: write auto",
		"packet:eth0,mac=ff:ff:ff:ff:ff:ff":     "not the MAC address of a host",
		"packet:eth0,queues=0,addr=10.0.0.2/24": "queues=0: out of range",
		"packet:eth/0,addr=10.0.0.2/24":         "not an interface's name",
	} {
		_, err := parseConfig("FASTNET", text)
		require.ErrorContains(t, err, want, text)
	}
	l := newPacketLab(t, "", func(l *packetLab) { l.Ours.Shell(t, "ip address add 10.178.0.9/24 dev fnb") })
	cfg := l.n.cfg
	cfg.Addresses = prefixes("10.178.0.9/24")
	_, err = New(cfg)
	require.ErrorContains(t, err, "fastnet: afpacket: addr=10.178.0.9/24: the kernel has this address itself, and would answer too: choose another one")
}
