package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A rule of nftables is a list of expressions, which load something into a
// register, compare what is there, or end in a verdict (nft(8); linux/netfilter/
// nf_tables.h). What rules are commonly made of is written as nft(8) does, of the
// rest the expressions' names.

// ruleText is a rule as text. An empty rule is "...".
func ruleText(expressions []byte) string {
	var words []string
	loaded := ""      // what was put into a register; empty if it is not understood
	compared := false // it is among the words
	eachAttribute(expressions, func(_ uint16, element []byte) {
		e := attributes(element)
		name, data := text(e[unix.NFTA_EXPR_NAME]), attributes(e[unix.NFTA_EXPR_DATA])
		switch name {
		case "counter":
		case "payload":
			loaded, compared = payloadName(data), false
		case "meta":
			loaded, compared = metaName(data), false
		case "cmp":
			words = append(words, comparison(loaded, data))
			compared = true
		case "immediate":
			words = append(words, verdict(data))
		case "match", "target": // of iptables
			words = append(words, text(data[1]))
		default: // ct, lookup, limit, log, reject, nat, redir ...
			if !compared {
				words = append(words, loaded)
			}
			words = append(words, name)
			loaded = ""
		}
	})
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	if len(words) == 0 {
		return "..."
	}
	return strings.Join(words, " ")
}

// bigEndian32 is an attribute's number, 0 if it is none.
func bigEndian32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// payloadName names a part of a packet's headers.
func payloadName(data map[uint16][]byte) string {
	const network, transport = unix.NFT_PAYLOAD_NETWORK_HEADER, unix.NFT_PAYLOAD_TRANSPORT_HEADER
	at := [3]uint32{bigEndian32(data[unix.NFTA_PAYLOAD_BASE]), bigEndian32(data[unix.NFTA_PAYLOAD_OFFSET]), bigEndian32(data[unix.NFTA_PAYLOAD_LEN])}
	switch at {
	case [3]uint32{transport, 0, 2}:
		return "sport"
	case [3]uint32{transport, 2, 2}:
		return "dport"
	case [3]uint32{network, 12, 4}:
		return "ip saddr"
	case [3]uint32{network, 16, 4}:
		return "ip daddr"
	case [3]uint32{network, 8, 16}:
		return "ip6 saddr"
	case [3]uint32{network, 24, 16}:
		return "ip6 daddr"
	}
	return "payload"
}

// metaName names what is not in the packet.
func metaName(data map[uint16][]byte) string {
	switch key := bigEndian32(data[unix.NFTA_META_KEY]); key {
	case unix.NFT_META_L4PROTO:
		return "l4proto"
	case unix.NFT_META_NFPROTO:
		return "nfproto"
	case unix.NFT_META_IIF:
		return "iif"
	case unix.NFT_META_IIFNAME:
		return "iifname"
	default:
		return fmt.Sprintf("meta %d", key)
	}
}

// comparison is what is compared, how, and with what; nothing for what is not
// understood.
func comparison(what string, data map[uint16][]byte) string {
	op := bigEndian32(data[unix.NFTA_CMP_OP])
	value := attributes(data[unix.NFTA_CMP_DATA])[unix.NFTA_DATA_VALUE]
	written := fmt.Sprintf("%#x", value)
	switch {
	case what == "":
		return ""
	case (what == "sport" || what == "dport") && len(value) == 2:
		written = fmt.Sprint(binary.BigEndian.Uint16(value))
	case what == "iifname":
		written = fmt.Sprintf("%q", text(value))
	case what == "iif" && len(value) == 4:
		written = fmt.Sprint(binary.NativeEndian.Uint32(value))
	case strings.HasPrefix(what, "ip"):
		if a, ok := netip.AddrFromSlice(value); ok {
			written = a.String()
		}
	case what == "l4proto" && len(value) == 1:
		names := map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_ICMPV6: "icmpv6"}
		if name, ok := names[value[0]]; ok && op == unix.NFT_CMP_EQ {
			return name // as in tcp dport 22
		}
	case what == "nfproto" && len(value) == 1 && op == unix.NFT_CMP_EQ:
		return "" // a family's rule in a table of both: its addresses tell
	}
	signs := []string{"", "!= ", "< ", "<= ", "> ", ">= "}
	return what + " " + signs[min(op, uint32(len(signs)-1))] + written
}

// verdict is what an immediate expression does: nothing, if it loads a value for
// one of those behind it.
func verdict(data map[uint16][]byte) string {
	if bigEndian32(data[unix.NFTA_IMMEDIATE_DREG]) != unix.NFT_REG_VERDICT {
		return ""
	}
	v := attributes(attributes(data[unix.NFTA_IMMEDIATE_DATA])[unix.NFTA_DATA_VERDICT])
	chain := text(v[unix.NFTA_VERDICT_CHAIN])
	switch code := int32(bigEndian32(v[unix.NFTA_VERDICT_CODE])); code {
	case 0:
		return "drop"
	case 1:
		return "accept"
	case unix.NFT_JUMP:
		return "jump " + chain
	case unix.NFT_GOTO:
		return "goto " + chain
	case unix.NFT_RETURN:
		return "return"
	case 3:
		return "queue"
	case unix.NFT_CONTINUE:
		return "continue"
	default:
		return fmt.Sprintf("verdict %d", code)
	}
}
