//go:build linux

package afxdp

// The program that steers packets, compiled by clang 14 or later.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -type address_key -type port_key -type bound_key -type flow_key -type fragment_key steer bpf/steer.c -- -O2 -g -Wall -Werror -mcpu=v2
