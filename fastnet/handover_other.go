//go:build !linux

package fastnet

import "net"

func (n *Network) handsOver() bool                { return false }
func (n *Network) leaveToOthers(*net.TCPListener) {}
func dropSYNs(*net.TCPListener)                   {}
func acceptQueue(*net.TCPListener) int            { return 0 }
func reusingPort(lc *ListenConfig) *ListenConfig  { return lc }
