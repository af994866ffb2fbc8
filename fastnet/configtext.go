package fastnet

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// ParseConfig reads what FASTNET may hold: a device, a colon, and keys with
// their values, such as
//
//	tap:name=fast0,addr=10.77.0.2/24,gw=10.77.0.1,host=10.77.0.1/24,queues=1,offload=true
//	wire:lab,addr=10.0.0.1/24,addr=fd00::1/64,loss=0.01,delay=5ms
//	xdp:eth0,ports=443,udp:53
//	xdp:eth0,addr=10.0.0.2/24,gw=10.0.0.1
//	packet:eth0,addr=10.0.0.2/24,gw=10.0.0.1,queues=2,mac=auto
//	loopback:require=true
//
// or the path of a TOML file, for LoadConfig: what begins with "/" or "." or
// ends in ".toml". The keys addr, host, gw (one a family), route, dns and kernel may be
// repeated, and ports; dns and ports take a list as well (dns=10.77.0.1,10.77.0.3). A first part without "=" is the name. An error is one line that
// names the key.
func ParseConfig(text string) (Config, error) { return parseConfig("config", text) }

func parseConfig(source, text string) (Config, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Config{}, fmt.Errorf("fastnet: %s is empty: write a device, as tap:name=fast0,addr=10.77.0.2/24", source)
	}
	if text[0] == '/' || text[0] == '.' || strings.HasSuffix(text, ".toml") {
		return LoadConfig(text)
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok {
		return Config{}, fmt.Errorf("fastnet: %s: %q names no device: write tap:name=fast0,addr=10.77.0.2/24, or a TOML file's path", source, text)
	}
	var c Config
	if err := c.start(source, scheme); err != nil {
		return Config{}, err
	}
	last := ""
	for i, part := range strings.Split(rest, ",") {
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok && key == "":
			continue
		case !ok && (last == "dns" || last == "ports"): // a list, whose comma is ours
			key, value = last, part
		case !ok && i == 0:
			key, value = "name", part
		case !ok:
			return Config{}, fmt.Errorf("fastnet: %s: %q has no value: write %s=VALUE", source, key, key)
		}
		if err := c.apply(source, scheme, key, value); err != nil {
			return Config{}, err
		}
		last = key
	}
	return c, c.complete(source, scheme)
}

// LoadConfig reads a TOML file. Its keys are those of ParseConfig, and device
// for the device; keys that may be repeated take arrays:
//
//	device = "tap"
//	name = "fast0"
//	addr = ["10.77.0.2/24", "fd77::2/64"]
//	gw = "10.77.0.1"
//	require = true
func LoadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("fastnet: the configuration file cannot be read: %w: check the path in FASTNET", err)
	}
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		return Config{}, fmt.Errorf("fastnet: %s: %w: correct the line", path, err)
	}
	scheme, ok := values["device"].(string)
	if !ok {
		return Config{}, fmt.Errorf(`fastnet: %s: no device: write device = "tap"`, path)
	}
	delete(values, "device")
	var c Config
	if err := c.start(path, scheme); err != nil {
		return Config{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list, ok := values[key].([]any)
		if !ok {
			list = []any{values[key]}
		}
		for _, v := range list {
			switch v.(type) {
			case string, bool, int64, float64:
			default:
				return Config{}, fmt.Errorf("fastnet: %s: the value of %s is a %T: write a text, a number or a truth value", path, key, v)
			}
			if err := c.apply(path, scheme, key, fmt.Sprint(v)); err != nil {
				return Config{}, err
			}
		}
	}
	return c, c.complete(path, scheme)
}

// complete checks that nothing is missing.
func (c *Config) complete(source, scheme string) error {
	switch {
	case scheme == "wire" && c.Wire == "":
		return fmt.Errorf("fastnet: %s: no name: write that of a device given to RegisterDevice, as wire:lab", source)
	case scheme == "packet" && c.Packet.Interface == "":
		return fmt.Errorf("fastnet: %s: no name: write that of an Ethernet interface of the kernel's, as packet:eth0", source)
	case scheme == "xdp":
		return c.checkXDP()
	case len(c.Addresses) == 0 && !c.LoopbackOnly:
		return fmt.Errorf("fastnet: %s: no address: write addr=10.77.0.2/24", source)
	}
	return nil
}
