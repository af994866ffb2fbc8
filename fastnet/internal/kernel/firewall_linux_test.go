package kernel

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFirewallChains(t *testing.T) {
	l := newLab(t)
	require.Empty(t, FirewallChains())
	l.run("nft", "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; "+
		"add rule inet filter input tcp dport 22 accept; add chain inet filter other; add rule inet filter other accept; "+
		"add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; add rule ip nat pre tcp dport 80 redirect to :8080; "+
		"add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post masquerade; "+
		"add table ip6 empty; add chain ip6 empty input { type filter hook input priority 0; }")
	require.ElementsMatch(t, []string{
		"inet filter input {tcp dport 22 accept; policy drop}", "ip nat pre {tcp dport 80 redir; policy accept}",
	}, chainTexts())
}

func chainTexts() (texts []string) {
	for _, c := range FirewallChains() {
		texts = append(texts, c.String())
	}
	return texts
}

// Rules are named as nft lists them, but for what is rarely met.
func TestFirewallRules(t *testing.T) {
	l := newLab(t)
	l.run("nft", "add table inet f; add chain inet f sub; add chain inet f input { type filter hook input priority 0; }")
	var want []string
	for rule, text := range map[string]string{
		"tcp dport 443 counter drop":                           "tcp dport 443 drop",
		"udp sport != 53 return":                               "udp sport != 53 return",
		"iifname eth0 ip saddr 10.1.2.3 jump sub":              "iifname \"eth0\" ip saddr 10.1.2.3 jump sub",
		"ip6 daddr fd00::1 tcp dport 22 reject with tcp reset": "ip6 daddr fd00::1 tcp dport 22 reject",
		"ct state established accept":                          "ct bitwise accept",
		"tcp dport { 80, 443 } accept":                         "tcp dport lookup accept",
		"tcp dport 1024-2048 goto sub":                         "tcp dport >= 1024 dport <= 2048 goto sub",
		"meta l4proto icmp accept":                             "icmp accept",
	} {
		l.run("nft", "add rule inet f input "+rule)
		want = append(want, text)
	}
	chains := FirewallChains()
	require.Len(t, chains, 1)
	require.Equal(t, "inet f input", chains[0].Name)
	require.Equal(t, "accept", chains[0].Policy)
	require.ElementsMatch(t, want, chains[0].Rules)
	long := Chain{"ip f input", "drop", slices.Repeat([]string{"accept"}, 100)}
	require.Equal(t, "ip f input {"+strings.Repeat("accept; ", 8)+"92 more; policy drop}", long.String())
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 0x80, 'x', 0, 0, 0})
	f.Add([]byte{3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range attributes(b) {
			require.LessOrEqual(t, len(v), len(b))
		}
		require.NotEmpty(t, ruleText(b))
	})
}
