package link

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OpenGeneric opens a generic netlink socket in the thread's network namespace.
func OpenGeneric() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("opening a generic netlink socket: %w", err)
	}
	return &Socket{fd: fd}, nil
}

// genericHeader is the length of struct genlmsghdr: command, version, reserved.
const genericHeader = 4

// Family returns the message type of a generic netlink family; unix.ENOENT if
// the kernel has none of that name.
func (n *Socket) Family(name string) (id uint16, err error) {
	body := AppendAttribute(nil, unix.CTRL_ATTR_FAMILY_NAME, append([]byte(name), 0))
	err = n.Generic(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, body, func(kind uint16, value []byte) {
		if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2 {
			id = ne.Uint16(value)
		}
	})
	if err == nil && id == 0 {
		err = unix.ENOENT
	}
	return id, err
}

// Generic sends a command, version 1, with its attributes to a generic netlink
// family, and calls reply with each attribute of the answers.
func (n *Socket) Generic(family uint16, command uint8, attributes []byte, reply func(kind uint16, value []byte)) error {
	return n.Request(family, 0, append([]byte{command, 1, 0, 0}, attributes...), func(_ uint16, body []byte) {
		if len(body) >= genericHeader {
			EachAttribute(body[genericHeader:], reply)
		}
	})
}

// EachAttribute calls f with each attribute in b, up to the first that is
// malformed.
func EachAttribute(b []byte, f func(kind uint16, value []byte)) {
	const typeMask = 0x3fff // without "nested" and "network byte order"
	for len(b) >= 4 {
		size := int(ne.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(ne.Uint16(b[2:])&typeMask, b[4:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}
