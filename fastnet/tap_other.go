//go:build !linux

package fastnet

import (
	"errors"

	"github.com/fastnet-go/fastnet/nic"
)

func openTap(*Config) (nic.Device, error) {
	return nil, errors.New("fastnet: tap: there are TAP devices on Linux only: unset FASTNET to use package net")
}
