//go:build !linux

package fastnet

import (
	"errors"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/afxdp"
	"github.com/fastnet-go/fastnet/stack"
)

// There is no AF_XDP but on Linux, so no interface is shared and nothing below is
// called but openXDP.

type xdp struct{}

func (x *xdp) device() *afxdp.Device { return nil }
func (x *xdp) stop()                 {}

var errNoXDP = errors.New("fastnet: xdp: AF_XDP is Linux's: use package net, or wire:NAME, on this system")

func (n *Network) openXDP() (nic.Device, error)             { return nil, errNoXDP }
func (n *Network) attachXDP(nic.Device) error               { return errNoXDP }
func (n *Network) unavailable(error) bool                   { return false }
func (n *Network) kernelInfo([]byte) (i stack.DatagramInfo) { return i }
