/* SPDX-License-Identifier: BSD-3-Clause */
/* Which received frames go to the AF_XDP sockets, and which to the kernel.
 *
 * Whatever it does not know for certain to be ours passes: the program never
 * drops and never aborts. It runs before the kernel has looked at anything, so
 * every length is checked here. Read steer first, then ipv4 and ipv6.
 *
 * Multi-buffer frames: the fixed headers must lie in the first buffer, which
 * drivers fill before they take a second one. */
#include "bpf.h"

char __license[] SEC("license") = "Dual BSD/GPL";

#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_ICMPV6 58
#define PROTO_DSTOPTS 60

#define VLAN_VID 0x0fff

#define IPV4_MF 0x2000
#define IPV4_OFFSET 0x1fff
#define IPV6_OFFSET 0xfff8
#define IPV6_MF 1

/* Extension headers walked past, as many as the stack accepts (RFC 8504
 * section 5.3). */
#define MAX_EXTENSIONS 8

/* How long a fragment follows its first: longer than reassembly waits (RFC 1122
 * section 3.3.2, RFC 8200 section 4.5: 60 s). */
#define FRAGMENT_LIFETIME 60000000000ULL

struct ethernet {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
} __attribute__((packed));

struct tag {
	__be16 control; /* priority, and which VLAN */
	__be16 type;
} __attribute__((packed));

struct arp {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

struct ipv4 {
	__u8 version_len; /* version and header length, four bits each */
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 src, dst;
} __attribute__((packed));

struct ipv6 {
	__u8 version_class;
	__u8 class_label[3];
	__be16 payload_len;
	__u8 next;
	__u8 hop_limit;
	__be32 src[4], dst[4];
} __attribute__((packed));

struct ports {
	__be16 src, dst;
} __attribute__((packed));

/* The maps' keys. Addresses and ports are in network byte order; IPv4 addresses
 * take the first word. */
struct address_key {
	__be32 addr[4];
	__u32 family; /* 4 or 6 */
};

struct port_key {
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

struct bound_key {
	__be32 addr[4];
	__be16 port;
	__u8 protocol;
	__u8 family;
};

/* Whose a flow is. */
#define FLOW_OURS 1
#define FLOW_KERNELS 2

struct flow_key {
	__be32 local[4];
	__be32 remote[4];
	__be16 local_port, remote_port;
	__u8 protocol;
	__u8 family;
	__u16 zero;
};

struct fragment_key {
	__be32 src[4];
	__be32 dst[4];
	__be32 id;
	__u8 protocol; /* 0 for IPv6, where it is not part of it */
	__u8 family;
	__u16 zero;
};

/* Values of addresses and of port_bits. */
enum { ADDRESS_SHARED, ADDRESS_EXCLUSIVE, ADDRESS_FLOWS };
enum { PORT_ANY4 = 1, PORT_ANY6 = 2, PORT_BOUND4 = 4, PORT_BOUND6 = 8 };

/* Indices of counters. */
enum verdict {
	PASSED,
	BY_PORT,
	BY_FLOW,
	BY_EXCLUSIVE,
	BY_ICMP,
	BY_FRAGMENT,
	FRAGMENT_EARLY, /* passed: its first has not been seen */
	BAD,            /* passed: malformed, cut off, or too many headers */
	MAP_FULL,       /* taken, but its later fragments will not be */
	NO_SOCKET,      /* passed: nobody serves the queue */
	VERDICTS,
};

/* The sizes of these maps are set when they are loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct address_key);
	__type(value, __u8);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} addresses SEC(".maps");

/* Every port that is open on some address: one look for most packets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port_key);
	__type(value, __u8);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} port_bits SEC(".maps");

/* Those that are open on single addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct bound_key);
	__type(value, __u8);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} bound_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow_key);
	__type(value, __u8);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} flows SEC(".maps");

/* How many of flows are exceptions: usually none, and then nobody looks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} exceptions SEC(".maps");

/* Datagrams whose first fragment was taken, and when. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct fragment_key);
	__type(value, __u64);
	__uint(max_entries, 1);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, VERDICTS);
} counters SEC(".maps");

/* The interface's address. */
volatile const __u8 mac[6] = {};

/* Whether what lies at an offset that varies is read by a helper (Linux 5.18)
 * rather than by a pointer, which takes CAP_PERFMON beside CAP_BPF. The verifier
 * does not look at the other way. */
volatile const __u8 by_helper = 1;

static __always_inline void count(__u32 verdict)
{
	__u64 *n = bpf_map_lookup_elem(&counters, &verdict);

	if (n)
		*n += 1;
}

static __always_inline int pass(__u32 why)
{
	count(why);
	return XDP_PASS;
}

static __always_inline int take(struct xdp_md *ctx, __u32 why)
{
	long action = bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);

	count(action == XDP_REDIRECT ? why : NO_SOCKET);
	return action;
}

/* load copies len bytes of the frame, from offset on. It returns 0 if they are
 * not there. */
static __always_inline int load(struct xdp_md *ctx, __u32 offset, void *to, const __u32 len)
{
	void *p = (void *)(long)ctx->data;

	if (by_helper)
		return bpf_xdp_load_bytes(ctx, offset, to, len) == 0;
	p += offset;
	if (p + len > (void *)(long)ctx->data_end)
		return 0;
	__builtin_memcpy(to, p, len);
	return 1;
}

/* length is that of what begins at an offset, as its header states it. Of a
 * packet above 64 KiB, which a local peer has not cut (BIG TCP), the header says
 * nothing: it is as long as the frame. */
static __always_inline __u32 length(struct xdp_md *ctx, __u32 at, __u16 stated)
{
	__u64 all;

	if (likely(stated))
		return stated;
	all = by_helper ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
	return all > 0xffff ? all - at : 0;
}

/* excepted tells whether flow k is the kernel's although its port is ours. */
static __always_inline int excepted(struct flow_key *k)
{
	__u32 zero = 0, *n = bpf_map_lookup_elem(&exceptions, &zero);
	__u8 *kind;

	if (!n || !*n)
		return 0;
	kind = bpf_map_lookup_elem(&flows, k);
	return kind && *kind == FLOW_KERNELS;
}

/* wanted tells why a packet of flow k, on a local address of a mode, is ours,
 * PASSED if it is not. */
static __always_inline __u32 wanted(struct flow_key *k, __u8 mode)
{
	struct port_key p = { .port = k->local_port, .protocol = k->protocol };
	__u8 *bits;

	if (excepted(k))
		return PASSED;
	bits = bpf_map_lookup_elem(&port_bits, &p);
	if (bits && likely(mode != ADDRESS_FLOWS)) {
		if (*bits & (k->family == 4 ? PORT_ANY4 : PORT_ANY6))
			return BY_PORT;
		if (*bits & (k->family == 4 ? PORT_BOUND4 : PORT_BOUND6)) {
			struct bound_key b = { .port = k->local_port, .protocol = k->protocol, .family = k->family };

			b.addr[0] = k->local[0];
			b.addr[1] = k->local[1];
			b.addr[2] = k->local[2];
			b.addr[3] = k->local[3];
			if (bpf_map_lookup_elem(&bound_ports, &b))
				return BY_PORT;
		}
	}
	return bpf_map_lookup_elem(&flows, k) ? BY_FLOW : PASSED;
}

/* known tells whether the first fragment of a datagram was taken. */
static __always_inline int known(struct fragment_key *f)
{
	__u64 *since = bpf_map_lookup_elem(&fragments, f);

	return since && bpf_ktime_get_ns() - *since < FRAGMENT_LIFETIME;
}

/* decide ends the matter for a packet that is none of a later fragment. f is
 * its datagram, if it is the first of several. */
static __always_inline int decide(struct xdp_md *ctx, __u32 why, int is_first, struct fragment_key *f)
{
	if (is_first) {
		if (why == PASSED) {
			/* The numbers come round: later ones are not ours. */
			bpf_map_delete_elem(&fragments, f);
		} else {
			__u64 now = bpf_ktime_get_ns();

			if (bpf_map_update_elem(&fragments, f, &now, BPF_ANY))
				count(MAP_FULL);
		}
	}
	return why == PASSED ? pass(PASSED) : take(ctx, why);
}

static __always_inline int arp(struct xdp_md *ctx, void *p, void *end)
{
	struct arp *a = p;
	struct address_key k = { .family = 4 };
	__u8 *mode;

	if ((void *)(a + 1) > end)
		return pass(BAD);
	if (a->protocol != bpf_htons(ETH_P_IP) || a->protocol_len != 4 || a->hardware_len != 6)
		return pass(PASSED);
	/* Requests for it and replies to it alike (RFC 826). */
	k.addr[0] = a->target;
	mode = bpf_map_lookup_elem(&addresses, &k);
	if (!mode || *mode != ADDRESS_EXCLUSIVE)
		return pass(PASSED);
	return take(ctx, BY_EXCLUSIVE);
}

/* quoted4 looks at the packet that an ICMP error is about, one that local has
 * sent (RFC 792). */
static __always_inline __u32 quoted4(struct xdp_md *ctx, __u32 offset, __be32 local, __u8 mode)
{
	struct flow_key k = { .family = 4 };
	struct ipv4 ip = {};
	struct ports l4 = {};
	__u32 hl;

	if (!load(ctx, offset, &ip, sizeof(ip)) || ip.version_len >> 4 != 4)
		return BAD;
	hl = (ip.version_len & 15) * 4;
	if (hl < sizeof(ip))
		return BAD;
	if (ip.src != local || ip.fragment & bpf_htons(IPV4_OFFSET))
		return PASSED;
	if (ip.protocol != PROTO_TCP && ip.protocol != PROTO_UDP)
		return PASSED;
	if (!load(ctx, offset + hl, &l4, sizeof(l4)))
		return BAD;
	k.local[0] = ip.src;
	k.remote[0] = ip.dst;
	k.local_port = l4.src;
	k.remote_port = l4.dst;
	k.protocol = ip.protocol;
	return wanted(&k, mode) == PASSED ? PASSED : BY_ICMP;
}

static __always_inline int ipv4(struct xdp_md *ctx, void *p, void *end, __u32 at)
{
	struct ipv4 *ip = p;
	struct address_key a = { .family = 4 };
	struct fragment_key f = { .family = 4 };
	__u32 hl, size, why = PASSED;
	__u8 *mode;
	int is_first;

	if ((void *)(ip + 1) > end || ip->version_len >> 4 != 4)
		return pass(BAD);
	a.addr[0] = ip->dst;
	mode = bpf_map_lookup_elem(&addresses, &a);
	if (!mode)
		return pass(PASSED);
	if (*mode == ADDRESS_EXCLUSIVE)
		return take(ctx, BY_EXCLUSIVE);
	hl = (ip->version_len & 15) * 4;
	size = length(ctx, at, bpf_ntohs(ip->total_len));
	if (hl < sizeof(*ip) || size < hl)
		return pass(BAD);
	f.src[0] = ip->src;
	f.dst[0] = ip->dst;
	f.id = ip->id;
	f.protocol = ip->protocol;
	if (ip->fragment & bpf_htons(IPV4_OFFSET))
		return known(&f) ? take(ctx, BY_FRAGMENT) : pass(FRAGMENT_EARLY);
	is_first = !!(ip->fragment & bpf_htons(IPV4_MF));
	if (ip->protocol == PROTO_TCP || ip->protocol == PROTO_UDP) {
		struct flow_key k = { .family = 4 };
		struct ports l4 = {};

		if (size < hl + sizeof(l4))
			return pass(BAD);
		if (likely(hl == sizeof(*ip))) {
			struct ports *here = (void *)(ip + 1);

			if ((void *)(here + 1) > end)
				return pass(BAD);
			l4 = *here;
		} else if (!load(ctx, at + hl, &l4, sizeof(l4))) {
			return pass(BAD);
		}
		k.local[0] = ip->dst;
		k.remote[0] = ip->src;
		k.local_port = l4.dst;
		k.remote_port = l4.src;
		k.protocol = ip->protocol;
		why = wanted(&k, *mode);
	} else if (ip->protocol == PROTO_ICMP) {
		__u8 icmp[8] = {};

		if (size < hl + sizeof(icmp) || !load(ctx, at + hl, icmp, sizeof(icmp)))
			return pass(BAD);
		/* Destination unreachable, time exceeded, parameter problem.
		 * Redirects are for the kernel's routes. */
		if (icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12)
			why = quoted4(ctx, at + hl + sizeof(icmp), ip->dst, *mode);
		if (why == BAD)
			return pass(BAD);
	}
	return decide(ctx, why, is_first, &f);
}

/* chain is where an IPv6 packet's extension headers lead to. */
struct chain {
	__u32 l4;  /* offset of the upper layer's header */
	__be32 id; /* of the datagram, if it is a fragment */
	__u8 protocol;
	__u8 is_first, is_later; /* fragment, but not both (RFC 6946) */
};

/* Headers that end later than this are too many: a verifier takes 64 KiB for the
 * largest offset, from which others are reckoned. */
#define MAX_OFFSET 0x7fff

/* forget returns an offset, of which the verifier knows nothing any more but the
 * largest that there is: else it looks at all that follows for each one anew. */
static __always_inline __u32 forget(__u32 offset)
{
	volatile __u8 bytes[2];

	bytes[0] = offset;
	bytes[1] = offset >> 8;
	return *(volatile __u16 *)bytes & MAX_OFFSET;
}

/* walk follows the extension headers (RFC 8200 section 4), which begin at
 * offset. It returns 0 if they are cut off, or too many. Their options are the
 * stack's business. */
static __always_inline int walk(struct xdp_md *ctx, __u32 offset, __u8 next, struct chain *c)
{
	const __u32 start = offset;

	for (int i = 0; i <= MAX_EXTENSIONS; i++) {
		struct {
			__u8 next, len;
			__be16 fragment;
			__be32 id;
		} h = {};

		if (next != PROTO_HOPOPTS && next != PROTO_ROUTING && next != PROTO_DSTOPTS && next != PROTO_FRAGMENT)
			break;
		if (i == MAX_EXTENSIONS || !load(ctx, offset, &h, sizeof(h)))
			return 0;
		offset += 8;
		if (next == PROTO_FRAGMENT) {
			c->id = h.id;
			if (h.fragment & bpf_htons(IPV6_OFFSET)) {
				c->is_later = 1;
				return 1;
			}
			if (h.fragment & bpf_htons(IPV6_MF))
				c->is_first = 1;
		} else {
			offset += 8 * (__u32)h.len;
		}
		next = h.next;
	}
	if (offset > MAX_OFFSET)
		return 0;
	c->l4 = likely(offset == start) ? offset : forget(offset);
	c->protocol = next;
	return 1;
}

static __always_inline void copy_address(__be32 *to, const __be32 *from)
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

/* quoted6 is quoted4 for IPv6 (RFC 4443 section 2.4). */
static __always_inline __u32 quoted6(struct xdp_md *ctx, __u32 offset, struct ipv6 *outer, __u8 mode)
{
	struct flow_key k = { .family = 6 };
	struct chain c = {};
	struct ipv6 ip = {};
	struct ports l4 = {};

	if (!load(ctx, offset, &ip, sizeof(ip)) || ip.version_class >> 4 != 6)
		return BAD;
	if (ip.src[0] != outer->dst[0] || ip.src[1] != outer->dst[1] ||
	    ip.src[2] != outer->dst[2] || ip.src[3] != outer->dst[3])
		return PASSED;
	if (!walk(ctx, offset + sizeof(ip), ip.next, &c))
		return BAD;
	if (c.is_later || (c.protocol != PROTO_TCP && c.protocol != PROTO_UDP))
		return PASSED;
	if (!load(ctx, c.l4, &l4, sizeof(l4)))
		return BAD;
	copy_address(k.local, ip.src);
	copy_address(k.remote, ip.dst);
	k.local_port = l4.src;
	k.remote_port = l4.dst;
	k.protocol = c.protocol;
	return wanted(&k, mode) == PASSED ? PASSED : BY_ICMP;
}

/* solicitation tells whether a packet asks for the Ethernet address of an
 * address that is ours alone (RFC 4861 section 4.3). */
static __always_inline int solicitation(struct ipv6 *ip, void *end)
{
	struct address_key a = { .family = 6 };
	__u8 *icmp = (__u8 *)(ip + 1);
	__u8 *mode;

	if (ip->next != PROTO_ICMPV6 || icmp + 24 > (__u8 *)end || icmp[0] != 135)
		return 0;
	copy_address(a.addr, (__be32 *)(icmp + 8));
	mode = bpf_map_lookup_elem(&addresses, &a);
	return mode && *mode == ADDRESS_EXCLUSIVE;
}

static __always_inline int ipv6(struct xdp_md *ctx, void *p, void *end, __u32 at, int group)
{
	struct ipv6 *ip = p;
	struct address_key a = { .family = 6 };
	struct fragment_key f = { .family = 6 };
	struct chain c = {};
	__u32 size, why = PASSED;
	__u8 *mode;

	at += sizeof(*ip);
	if ((void *)(ip + 1) > end || ip->version_class >> 4 != 6)
		return pass(BAD);
	if (group)
		return solicitation(ip, end) ? take(ctx, BY_EXCLUSIVE) : pass(PASSED);
	copy_address(a.addr, ip->dst);
	mode = bpf_map_lookup_elem(&addresses, &a);
	if (!mode) /* a solicitation may come to our Ethernet address, too */
		return solicitation(ip, end) ? take(ctx, BY_EXCLUSIVE) : pass(PASSED);
	if (*mode == ADDRESS_EXCLUSIVE)
		return take(ctx, BY_EXCLUSIVE);
	if (!walk(ctx, at, ip->next, &c))
		return pass(BAD);
	copy_address(f.src, ip->src);
	copy_address(f.dst, ip->dst);
	f.id = c.id;
	if (c.is_later)
		return known(&f) ? take(ctx, BY_FRAGMENT) : pass(FRAGMENT_EARLY);
	size = at + length(ctx, at, bpf_ntohs(ip->payload_len));
	if (c.protocol == PROTO_TCP || c.protocol == PROTO_UDP) {
		struct flow_key k = { .family = 6 };
		struct ports l4 = {};

		if (size < c.l4 + sizeof(l4))
			return pass(BAD);
		if (likely(c.l4 == at)) {
			struct ports *here = (void *)(ip + 1);

			if ((void *)(here + 1) > end)
				return pass(BAD);
			l4 = *here;
		} else if (!load(ctx, c.l4, &l4, sizeof(l4))) {
			return pass(BAD);
		}
		copy_address(k.local, ip->dst);
		copy_address(k.remote, ip->src);
		k.local_port = l4.dst;
		k.remote_port = l4.src;
		k.protocol = c.protocol;
		why = wanted(&k, *mode);
	} else if (c.protocol == PROTO_ICMPV6) {
		__u8 icmp[8] = {};

		if (size < c.l4 + sizeof(icmp) || !load(ctx, c.l4, icmp, sizeof(icmp)))
			return pass(BAD);
		/* Destination unreachable, packet too big, time exceeded,
		 * parameter problem. */
		if (icmp[0] >= 1 && icmp[0] <= 4)
			why = quoted6(ctx, c.l4 + sizeof(icmp), ip, *mode);
		if (why == BAD)
			return pass(BAD);
	}
	return decide(ctx, why, c.is_first, &f);
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	void *p = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethernet *e = p;
	__be16 type;
	__u32 at;
	int group;

	if ((void *)(e + 1) > end)
		return pass(BAD);
	group = e->dst[0] & 1;
	if (!group && (e->dst[0] != mac[0] || e->dst[1] != mac[1] || e->dst[2] != mac[2] ||
		       e->dst[3] != mac[3] || e->dst[4] != mac[4] || e->dst[5] != mac[5]))
		return pass(PASSED); /* somebody listens to everything */
	p = e + 1;
	type = e->type;
	at = sizeof(*e);
	/* A tag without a VLAN is a priority, and the frame as good as untagged
	 * (IEEE 802.1Q section 6.9.1). Other tags are no business of the
	 * stack's: they pass. */
	if (unlikely(type == bpf_htons(ETH_P_8021Q))) {
		struct tag *t = p;

		if ((void *)(t + 1) > end)
			return pass(BAD);
		if (t->control & bpf_htons(VLAN_VID))
			return pass(PASSED);
		p = t + 1;
		type = t->type;
		at += sizeof(*t);
	}
	if (type == bpf_htons(ETH_P_IP))
		return group ? pass(PASSED) : ipv4(ctx, p, end, at);
	if (type == bpf_htons(ETH_P_IPV6))
		return ipv6(ctx, p, end, at, group);
	if (type == bpf_htons(ETH_P_ARP))
		return arp(ctx, p, end);
	return pass(PASSED);
}
