package kernel

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Constants of linux/netfilter/nf_tables.h, nfnetlink.h and netfilter.h.
const (
	nftMsgNewChain = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWCHAIN
	nftMsgGetChain = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN
	nftMsgNewRule  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE
	nftMsgGetRule  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE

	hookPrerouting, hookInput = 0, 1
)

var nftFamilies = map[uint8]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_NETDEV: "netdev",
}

// Chain is a chain that looks at received packets.
type Chain struct {
	Name   string   // family, table and chain; of iptables' own tables the command that lists them
	Policy string   // accept or drop; empty of iptables' own tables
	Rules  []string // as nft(8) writes them, as far as they are understood
}

// mostRules bounds those that String lists.
const mostRules = 8

func (c Chain) String() string {
	if c.Policy == "" {
		return c.Name
	}
	rules := slices.Clone(c.Rules[:min(len(c.Rules), mostRules)])
	if more := len(c.Rules) - len(rules); more > 0 {
		rules = append(rules, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s {%s; policy %s}", c.Name, strings.Join(rules, "; "), c.Policy)
}

// FirewallChains returns the chains of nftables that look at received packets, and
// the tables of iptables' own: what they say does not apply to packets that XDP takes
// before them. Empty chains that accept are left out. What cannot be asked for is
// left out too.
func FirewallChains() []Chain {
	type key struct {
		family       uint8
		table, chain string
	}
	rules := make(map[key][]string)
	dumpNFT(nftMsgGetRule, nftMsgNewRule, func(family uint8, attrs map[uint16][]byte) {
		k := key{family, text(attrs[unix.NFTA_RULE_TABLE]), text(attrs[unix.NFTA_RULE_CHAIN])}
		rules[k] = append(rules[k], ruleText(attrs[unix.NFTA_RULE_EXPRESSIONS]))
	})
	var chains []Chain
	dumpNFT(nftMsgGetChain, nftMsgNewChain, func(family uint8, attrs map[uint16][]byte) {
		name, known := nftFamilies[family]
		hook, ok := attrs[unix.NFTA_CHAIN_HOOK]
		if !ok || !known {
			return // no base chain: only those have packets of their own accord
		}
		num, ok := attributes(hook)[unix.NFTA_HOOK_HOOKNUM]
		if !ok || len(num) < 4 {
			return
		}
		switch n := binary.BigEndian.Uint32(num); {
		case family == unix.NFPROTO_NETDEV && n == 0: // ingress
		case family != unix.NFPROTO_NETDEV && (n == hookPrerouting || n == hookInput):
		default:
			return
		}
		k := key{family, text(attrs[unix.NFTA_CHAIN_TABLE]), text(attrs[unix.NFTA_CHAIN_NAME])}
		policy := "accept"
		if p := attrs[unix.NFTA_CHAIN_POLICY]; len(p) >= 4 && binary.BigEndian.Uint32(p) == 0 { // NF_DROP
			policy = "drop"
		}
		if len(rules[k]) > 0 || policy == "drop" {
			chains = append(chains, Chain{fmt.Sprintf("%s %s %s", name, k.table, k.chain), policy, rules[k]})
		}
	})
	for _, f := range [][2]string{{"/proc/net/ip_tables_names", "iptables"}, {"/proc/net/ip6_tables_names", "ip6tables"}} {
		names, _ := os.ReadFile(f[0])
		for _, table := range strings.Fields(string(names)) {
			chains = append(chains, Chain{Name: f[1] + " -t " + table})
		}
	}
	return chains
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

// dumpNFT visits what nf_tables has of a kind.
func dumpNFT(get, answer uint16, visit func(family uint8, attrs map[uint16][]byte)) {
	req := nl.NewNetlinkRequest(int(get), unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	msgs, err := req.Execute(unix.NETLINK_NETFILTER, answer)
	if err != nil {
		return
	}
	for _, m := range msgs {
		if len(m) >= nl.SizeofNfgenmsg {
			visit(m[0], attributes(m[nl.SizeofNfgenmsg:]))
		}
	}
}

// attributes takes netlink attributes apart (netlink(7)). What is malformed ends
// it. Of several of a kind the last is returned.
func attributes(b []byte) map[uint16][]byte {
	attrs := make(map[uint16][]byte)
	eachAttribute(b, func(kind uint16, value []byte) { attrs[kind] = value })
	return attrs
}

// eachAttribute visits them in their order.
func eachAttribute(b []byte, visit func(kind uint16, value []byte)) {
	ne := binary.NativeEndian
	for len(b) >= 4 {
		n := int(ne.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		visit(ne.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}
