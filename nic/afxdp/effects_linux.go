package afxdp

import "fmt"

// drivers is what is known of a native attach to them. It warns a person, and
// decides nothing: it names what their ndo_bpf does in recent kernels, and may
// say too much of others.
var drivers = map[string]struct {
	reset   bool   // its queues are set up anew: packets are lost for a moment
	carrier bool   // its link goes down and up again, which takes seconds
	other   string // one sentence more
}{
	"ixgbe":      {reset: true, carrier: true},
	"ixgbevf":    {reset: true},
	"igb":        {reset: true, carrier: true},
	"igc":        {reset: true, carrier: true},
	"i40e":       {reset: true},
	"ice":        {reset: true, other: "it sets up a transmit queue more for each processor"},
	"iavf":       {reset: true},
	"idpf":       {reset: true},
	"mlx4_en":    {reset: true, carrier: true},
	"mlx5_core":  {reset: true},
	"bnxt_en":    {reset: true, other: "it uses twice as many transmit queues, and refuses an MTU above a page without multi-buffer"},
	"ena":        {reset: true, other: "it must use half of its channels at the most: ethtool -L %s combined N"},
	"gve":        {reset: true},
	"hv_netvsc":  {reset: true, other: "a virtual function behind it gets the program, too, and what that takes is lost: attach generically"},
	"bonding":    {other: "its ports get the program, and what that takes is lost: attach generically"},
	"mana":       {reset: true},
	"vmxnet3":    {reset: true},
	"stmmac":     {reset: true, carrier: true},
	"mvneta":     {reset: true, carrier: true},
	"sfc":        {reset: true},
	"nfp":        {reset: true},
	"qede":       {reset: true, carrier: true},
	"virtio_net": {other: "large receive and partial checksums of the host are turned off, and without a queue pair more for each processor its transmit queues are shared behind a lock"},
}

// effects is what attaching does to the interface and those who use it.
func (f *face) effects(cfg *Config, r *Report) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.Attach.Value == native {
		known, ok := drivers[f.driver]
		switch {
		case f.driver == "veth":
			add("the peer's segmentation (TSO) is turned off as long as the program is attached: it sends packets of the MTU at the most")
		case !ok && f.driver != "tun":
			add("the driver %s may set its queues up anew, and lose packets or the link for a moment", orUnknown(f.driver))
		case known.carrier:
			add("the driver %s sets its queues up anew, and the link goes down for some seconds, again when the program is detached", f.driver)
		case known.reset:
			add("the driver %s sets its queues up anew: packets are lost for a moment, again when the program is detached", f.driver)
		}
		if known.other != "" {
			if f.driver == "ena" {
				add("the driver ena: "+known.other, f.name)
			} else {
				add("the driver %s: %s", f.driver, known.other)
			}
		}
		if r.Copy.Value == zeroCopy {
			add("zero copy: each queue served gets buffers of its own, which some drivers do by setting it up anew")
		}
		if f.told && f.features&xdpRxSG == 0 && f.driver != "veth" {
			add("the driver takes packets of one page only: an MTU above some 3,500 is refused (mtu %d now)", f.MTU)
		}
	} else {
		add("a generic attach runs behind the driver, for each packet of the interface: it costs those that pass, too")
		if f.driver == "veth" || f.driver == "virtio_net" || f.driver == "tun" {
			if r.Frames.Value == multiBuffer {
				add("segments that a local peer has not cut (TSO) arrive whole, in several buffers")
			} else {
				add("segments that a local peer has not cut (TSO) are larger than a buffer, and lost: turn it off there (ethtool -K PEER tso off gso off), or attach natively")
			}
		}
	}
	if f.lro {
		add("large receive offload (LRO) is on, and is turned off as long as the program is attached, or the driver refuses the program: ethtool -K %s lro off", f.name)
	}
	if f.rxVLAN && f.driver != "veth" {
		add("the driver takes VLAN tags off before the program sees a packet: that of a VLAN child looks like one without a tag (ethtool -K %s rxvlan off)", f.name)
	}
	if f.master {
		add("%s belongs to a bond, a bridge or a team, which does not get the packets that are taken", f.name)
	}
	if cfg.Queues < f.rx {
		add("%d of %d queues are served: packets that come on others pass to the kernel", cfg.Queues, f.rx)
	}
	if f.tx < cfg.Queues {
		add("%d queues send for %d that receive", f.tx, cfg.Queues)
	}
	return list
}
