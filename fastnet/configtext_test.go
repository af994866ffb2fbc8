package fastnet

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic/fault"
	"github.com/fastnet-go/fastnet/nic/tap"
	"github.com/fastnet-go/fastnet/stack/route"
)

func prefixes(s ...string) (ps []netip.Prefix) {
	for _, s := range s {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestShortFormDescribesATap(t *testing.T) {
	c, err := ParseConfig("tap:name=fast0,addr=10.77.0.2/24,addr=fd77::2/64,gw=10.77.0.1,gw=fd77::1," +
		"host=10.77.0.1/24,queues=2,offload=false,mtu=9000,pcap=out.pcapng,require=true,loopback=stack,backlog=128," +
		"route=10.0.0.0/8 via 10.77.0.9")
	require.NoError(t, err)
	require.Equal(t, Config{
		Tap:       &tap.Config{Name: "fast0", HostAddrs: prefixes("10.77.0.1/24"), Queues: 2, NoOffload: true},
		Addresses: prefixes("10.77.0.2/24", "fd77::2/64"),
		Gateway:   netip.MustParseAddr("10.77.0.1"),
		Routes: []route.Route{
			{Prefix: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd77::1")},
			{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.77.0.9")},
		},
		MTU: 9000, Pcap: "out.pcapng", Require: true, Loopback: LoopbackStack, Backlog: 128,
	}, c)
}

func TestShortFormDescribesAWireWithFaults(t *testing.T) {
	c, err := ParseConfig("wire:lab,addr=10.0.0.1/24,loss=0.01,delay=5ms,seed=7")
	require.NoError(t, err)
	f := fault.Faults{Loss: 0.01, Delay: 5 * time.Millisecond}
	require.Equal(t, Config{
		Wire: "lab", Addresses: prefixes("10.0.0.1/24"), Faults: &fault.Config{Seed: 7, Rx: f, Tx: f},
	}, c)
}

func TestShortFormDescribesAHostWithoutADevice(t *testing.T) {
	for text, want := range map[string]Config{
		"loopback:":             {LoopbackOnly: true},
		"loopback:require=true": {LoopbackOnly: true, Require: true},
		"loopback:lo,backlog=9": {LoopbackOnly: true, Name: "lo", Backlog: 9},
	} {
		c, err := ParseConfig(text)
		require.NoError(t, err, text)
		require.Equal(t, want, c, text)
	}
}

func TestFileSaysTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fastnet.toml")
	require.NoError(t, os.WriteFile(file, []byte(`
		device = "tap"
		name = "fast0"
		addr = ["10.77.0.2/24", "fd77::2/64"]
		gw = "10.77.0.1"
		queues = 2
		offload = true
		loss = 0.5
	`), 0o600))
	fromFile, err := ParseConfig(file)
	require.NoError(t, err)
	short, err := ParseConfig("tap:name=fast0,addr=10.77.0.2/24,addr=fd77::2/64,gw=10.77.0.1,queues=2,offload=true,loss=0.5")
	require.NoError(t, err)
	require.Equal(t, short, fromFile)
}

func TestConfigurationErrorsNameTheKeyAndWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"":                                          "is empty: write a device, as tap:name=fast0,addr=10.77.0.2/24",
		"fast0":                                     `"fast0" names no device: write tap:name=fast0`,
		"vfio:0000:03:00.0,addr=dhcp":               `the device "vfio" is not there yet: use tap:`,
		"tun:name=x":                                `unknown device "tun": use tap, xdp, packet, wire or loopback`,
		"tap:name=fast0":                            "no address: write addr=10.77.0.2/24",
		"tap:name=fast0,address=1":                  `unknown key "address": tap: takes addr, backlog, corrupt,`,
		"tap:fast0,addr=10.77.0.2":                  "addr=10.77.0.2: it has no prefix length: write an address with its prefix length, as 10.77.0.2/24",
		"tap:fast0,addr=ten/24":                     "addr=ten/24: not an address with a prefix length: write",
		"tap:fast0,gw":                              `"gw" has no value: write gw=VALUE`,
		"tap:fast0,gw=fast":                         "gw=fast: not an address: write an address in one of the subnets",
		"tap:fast0,gw=1.1.1.1,gw=1.1.1.2":           "gw=1.1.1.2: a second gateway of this family",
		"tap:fast0,queues=many":                     "queues=many: not a whole number: write a number from 1 to 256",
		"tap:fast0,queues=0":                        "queues=0: out of range: write a number from 1 to 256",
		"tap:fast0,require=perhaps":                 "require=perhaps: not a truth value: write true or false",
		"tap:fast0,loopback=both":                   "loopback=both: neither of the two: write kernel or stack",
		"tap:fast0,loss=2":                          "loss=2: not a probability: write a probability from 0 to 1",
		"tap:fast0,loss=NaN":                        "loss=NaN: not a probability",
		"tap:fast0,delay=5":                         "delay=5: not a time: write a time, as 10ms",
		"tap:fast0,route=10.0.0.0/8":                `route=10.0.0.0/8: not a route: write a subnet and its gateway`,
		"tap:fast0,route=10.0.0.0/8 via ::1":        "::1 is no gateway for it",
		"tap:far-too-long-a-name,addr=10.77.0.2/24": "name=far-too-long-a-name: not an interface's name",
		"tap:fast0,pcap=":                           "pcap=: it is empty: write the name of a file",
		"wire:addr=10.0.0.1/24":                     "no name: write that of a device given to RegisterDevice",
		"loopback:addr=10.0.0.1/24":                 `unknown key "addr": loopback: takes backlog, dns, name, require`,
		"/nonexistent/fastnet.toml":                 "the configuration file cannot be read",
	} {
		_, err := parseConfig("FASTNET", text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "\n", text)
		require.True(t, strings.HasPrefix(err.Error(), "fastnet: "), text)
	}
}

func TestFileErrorsNameTheFileAndTheKey(t *testing.T) {
	for text, want := range map[string]string{
		"name = 3 4":     "correct the line",
		`name = "fast0"`: `no device: write device = "tap"`,
		`device = 3`:     `no device: write device = "tap"`,
		"device = \"tap\"\nname = \"f\"\nadr = 1":  `unknown key "adr"`,
		"device = \"tap\"\n[name]\nx = 1":          "the value of name is a map",
		"device = \"tap\"\nmtu = 12":               "mtu=12: out of range: write a number of bytes from 1280 to 65535",
		"device = \"wire\"\naddr = \"10.0.0.1/8\"": "no name",
	} {
		file := filepath.Join(t.TempDir(), "f.toml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := LoadConfig(file)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, file, text)
		require.NotContains(t, err.Error(), "\n", text)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("tap:name=fast0,addr=10.77.0.2/24,gw=10.77.0.1")
	f.Add("wire:lab,addr=fd00::1/64,loss=0.5,route=::/0 via fd00::2")
	f.Add("xdp:eth0,ports=443,udp:53,8000-8010,dialports=0,attach=native")
	f.Add(",,=,:")
	f.Fuzz(func(t *testing.T, text string) {
		if s := strings.TrimSpace(text); s != "" && (s[0] == '/' || s[0] == '.' || strings.HasSuffix(s, ".toml")) {
			t.Skip("a file")
		}
		c, err := ParseConfig(text)
		if err == nil && len(c.Addresses) == 0 && !c.LoopbackOnly && c.XDP == nil {
			t.Fatal("a configuration without an address passed")
		}
	})
}
