package xdp

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// malformed is a scapy program: packets with fields of random values, well-formed
// lengths and checksums where they are not drawn, to ports that are listened on.
const malformed = `
import random, sys
import logging; logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import *
random.seed(int(sys.argv[1]))
mac, four, six, me4, me6 = sys.argv[2:7]
conf.verb = 0
e = Ether(dst=mac)
def some():
    return [
        lambda: e/IP(src=me4, dst=four)/fuzz(TCP(dport=8080)),
        lambda: e/IP(src=me4, dst=four)/fuzz(TCP(dport=8080, flags="S"))/Raw(b"x"*random.randrange(40)),
        lambda: e/IP(src=me4, dst=four)/TCP(dport=8080, sport=random.randrange(1024, 65536), options=[(random.randrange(256), bytes(random.randrange(8)))]),
        lambda: e/fuzz(IP(dst=four))/fuzz(TCP(dport=8080)),
        lambda: e/IP(src=me4, dst=four, ihl=6, proto=6)/Raw(bytes([random.randrange(256), random.randrange(12), 0, 0]) + bytes(TCP(dport=8080, flags="S"))),
        lambda: e/IP(src=me4, dst=four)/fuzz(UDP(dport=5300))/Raw(b"y"*random.randrange(100)),
        lambda: e/IP(src=me4, dst=four, flags="MF", frag=random.randrange(100), id=random.randrange(4))/UDP(dport=5300)/Raw(b"z"*random.randrange(1, 200)),
        lambda: e/IP(src=me4, dst=four)/fuzz(ICMP())/IP(src=four, dst=me4)/TCP(sport=8080, dport=random.randrange(1024, 65536), seq=random.getrandbits(32)),
        lambda: e/IP(src=me4, dst=four)/ICMP(type=3, code=4, nexthopmtu=random.randrange(2000))/IP(src=four, dst=me4)/TCP(sport=8080, dport=random.randrange(32768, 65536), seq=random.getrandbits(32)),
        lambda: e/fuzz(ARP(psrc="10.9.0.77", hwsrc="02:00:00:00:0a:4d", pdst=four)),
        lambda: e/IPv6(src=me6, dst=six)/fuzz(TCP(dport=8080)),
        lambda: e/IPv6(src=me6, dst=six)/fuzz(IPv6ExtHdrHopByHop())/TCP(dport=8080, flags="S"),
        lambda: e/IPv6(src=me6, dst=six)/fuzz(IPv6ExtHdrDestOpt())/UDP(dport=5300)/Raw(b"w"*random.randrange(100)),
        lambda: e/IPv6(src=me6, dst=six)/IPv6ExtHdrFragment(offset=random.randrange(50), m=random.randrange(2), id=random.randrange(4))/UDP(dport=5300)/Raw(b"v"*random.randrange(1, 200)),
        lambda: e/IPv6(src=me6, dst=six)/fuzz(ICMPv6PacketTooBig())/IPv6(src=six, dst=me6)/TCP(sport=8080, dport=random.randrange(32768, 65536)),
        lambda: e/IPv6(src=me6, dst=six)/fuzz(ICMPv6DestUnreach())/IPv6(src=six, dst=me6)/TCP(sport=8080, dport=random.randrange(32768, 65536)),
    ]
s, n = conf.L2socket(iface="eth0"), 0
for i in range(int(sys.argv[7])):
    for p in some():
        try:
            s.send(p())
            n += 1
        except Exception: # a draw that cannot be built or sent
            pass
print(n)
`

// python is one that has scapy, or the test is skipped.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import scapy.all").Run() == nil {
			return name
		}
	}
	t.Skip("scapy is not installed")
	return ""
}

// Under a flood of SYNs, a scan of the ports, random and malformed packets, transfers
// complete, memory is bounded and honest clients get in.
func TestFlood(t *testing.T) {
	needs(t, "hping3", "nmap")
	scapy := python(t)
	floods, honest := 1, 400
	if soak {
		floods, honest = 20, 4000
	}
	r := newRig(t)
	// Answers to anybody leave by the interface.
	r.server.ip("route add default via " + clientIP)
	around := r.startBeside()
	p := r.server.start("xdp:eth0,require=true")
	for _, command := range []string{"web a :8080", "echo b :7000", "echoudp c :5300"} {
		p.must("%s", command)
	}
	mac := strings.Fields(r.server.run("cat", "/sys/class/net/eth0/address"))[0]
	transfers := r.client.start("")
	transfers.startLoad("down=http://"+serverIP+":8080", "up=http://["+serverIP6+"]:8080", "ping="+serverIP+":7000")
	transfers.loadDoes(1, "down", "up", "ping")
	before := p.memory()
	beforeStats := p.stats()

	var attacks sync.WaitGroup
	t.Cleanup(attacks.Wait)
	attack := func(check, name string, args ...string) {
		attacks.Go(func() {
			out, err := r.client.try(name, args...)
			if ok, _ := regexp.MatchString(check, out); !ok || err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		})
	}
	var most memoryState
	watch := func() {
		t.Helper()
		m := p.memory()
		most.RSS, most.Heap, most.Goroutines = max(most.RSS, m.RSS), max(most.Heap, m.Heap), max(most.Goroutines, m.Goroutines)
	}
	// hping3 ends with 1 since none of its SYNs has an answer.
	flood := func(port string) {
		r.client.try("hping3", "-q", "-S", "-p", port, "-c", "20000", "-i", "u50", "--rand-source", serverIP)
	}
	for i := range floods {
		for _, port := range []string{"8080", "7000"} {
			attacks.Go(func() { flood(port) })
		}
		attack("Nmap done: 1 IP address", "nmap", "-sS", "-Pn", "-n", "-T5", "--max-retries", "0", "--host-timeout", "25s", "-p", "1-10000", serverIP)
		attack(`(?m)^[4-9]\d\d$`, scapy, "-c", malformed, fmt.Sprint(i), mac, serverIP, serverIP6, clientIP, clientIP6, "60")
		attacker := r.client.start("")
		attacker.begin(fmt.Sprintf("rubbish 20000 %s %d", mac, i))
		guests := r.client.start("")
		guests.begin(fmt.Sprintf("load %d conn=http://%s:8080/", honest/floods, serverIP))
		guests6 := r.client.start("")
		guests6.begin(fmt.Sprintf("load %d conn=http://[%s]:8080/", honest/floods, serverIP6))
		watch()
		for _, g := range []*program{guests, guests6} {
			answer := g.answer("honest clients")
			watch()
			var report loadReport
			decodeText(t, answer, &report)
			require.Equal(t, honest/floods/8*8, report.Done["conn"]+report.Failed["conn"])
			require.LessOrEqual(t, report.Failed["conn"]*100, honest/floods, "%+v", report)
		}
		attacker.answer("rubbish")
		attacks.Wait()
		watch()
		for _, g := range []*program{attacker, guests, guests6} {
			g.kill()
		}
		t.Logf("flood %d of %d: at most %+v", i+1, floods, most)
	}
	// A machine that gives the server little time drops most at its interface.
	const many = 10000
	require.Eventually(t, func() bool {
		if p.stats().TCP.SYNs > beforeStats.TCP.SYNs+many {
			return true
		}
		flood("8080")
		watch()
		return false
	}, 2*hangs, time.Millisecond, "the flood does not arrive")
	transfers.loadDoes(1, "down", "up", "ping")
	done := transfers.stopLoad()
	s := p.stats()
	t.Logf("transfers %v; SYNs %d, cookies %d (%d came back), half open %d; drops %v; before %+v, at most %+v", done.Done,
		s.TCP.SYNs-beforeStats.TCP.SYNs, s.TCP.CookiesSent, s.TCP.CookiesValid, s.TCP.HalfOpen, s.Drops, before, most)
	require.NotEmpty(t, s.Drops)
	const allowed = 96 << 20
	require.Less(t, most.RSS, before.RSS+allowed)
	require.Less(t, most.Heap, before.Heap+allowed/2)
	require.Less(t, most.Goroutines, before.Goroutines+500)
	around.end()
	// All buffers come back, once the handshakes that nobody completes are over.
	require.Eventually(t, func() bool { return p.device().InUse == 0 }, 4*patience, 100*time.Millisecond, "buffers are left")
	require.NotContains(t, p.said(), "panic")
	p.exit()
}
