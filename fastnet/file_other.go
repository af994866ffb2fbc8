//go:build !linux

package fastnet

import "os"

// socketFile is there on Linux only: see file_linux.go.
type socketFile struct{ lend *lending }

func (*socketFile) passedOn() bool { return true }

type lending struct{}

func (*lending) start()   {}
func (*lending) stop(int) {}
func (*lending) abandon() {}

func stackFile(*os.File, string) (s interface{ Close() error }, ours bool, err error) {
	return nil, false, nil
}

func (n *Network) adopt(*os.File) (l *TCPListener, why string, err error) { return nil, "", nil }

func (c *TCPConn) file() (*os.File, error) { return nil, c.opError("file", "dup", errNoDescriptor) }

func (l *TCPListener) file() (*os.File, error) { return nil, l.opError("file", "dup", errNoDescriptor) }

func (c *UDPConn) file() (*os.File, error) {
	return nil, c.opError("file", "dup", c.remote(), errNoDescriptor)
}

func (c *IPConn) file() (*os.File, error) {
	return nil, c.opError("file", "dup", opAddr(c.raddr), errNoDescriptor)
}
