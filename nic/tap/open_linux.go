package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// attach opens the descriptors of all queues of the interface that cfg names,
// and returns the interface's real name.
func attach(cfg *Config) (fds []int, name string, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}()
	if len(cfg.FDs) > 0 {
		name, err = checkFDs(cfg.FDs)
		return cfg.FDs, name, err
	}
	name = cfg.Name
	for range cfg.Queues {
		// Nonblocking before the descriptor becomes an os.File, which is then
		// served by the runtime's poller.
		fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fds, name, openError(err)
		}
		fds = append(fds, fd)
		// Before it is attached the descriptor only polls as broken.
		if name, err = setInterface(fd, name, cfg.Queues > 1); err != nil {
			return fds, name, err
		}
	}
	return fds, name, nil
}

// setInterface attaches a descriptor to the interface name, a pattern perhaps,
// and returns the name it has.
func setInterface(fd int, name string, multi bool) (string, error) {
	try := func(multi bool) (string, error) {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return name, err
		}
		flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if multi {
			flags |= unix.IFF_MULTI_QUEUE
		}
		request.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		return request.Name(), err
	}
	got, err := try(multi)
	if errors.Is(err, unix.EINVAL) && !multi {
		// A persistent interface that was made for several queues may have
		// one, but must be asked so.
		if got, again := try(true); again == nil {
			return got, nil
		}
	}
	if err != nil {
		return name, attachError(err, name, multi)
	}
	return got, nil
}

// checkFDs returns the name of the interface that the descriptors belong to.
func checkFDs(fds []int) (string, error) {
	name := ""
	for _, fd := range fds {
		request, err := unix.NewIfreq("")
		if err != nil {
			return "", err
		}
		if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
			return "", fmt.Errorf("descriptor %d is not attached to a TAP interface (TUNSETIFF): %w", fd, err)
		}
		if flags := request.Uint16(); flags&(unix.IFF_TAP|unix.IFF_VNET_HDR|unix.IFF_NO_PI) != unix.IFF_TAP|unix.IFF_VNET_HDR|unix.IFF_NO_PI {
			return "", fmt.Errorf("descriptor %d of %s must be attached with IFF_TAP|IFF_NO_PI|IFF_VNET_HDR, its flags are %#x", fd, request.Name(), flags)
		}
		if name != "" && name != request.Name() {
			return "", fmt.Errorf("the descriptors belong to different interfaces, %s and %s", name, request.Name())
		}
		name = request.Name()
		if err := unix.SetNonblock(fd, true); err != nil {
			return "", err
		}
	}
	return name, nil
}

// setOffloads asks the kernel for checksums and segments of its own making, as
// far as it has them, behind headers of that size. TUN_F_TSO_ECN is not among them: it then cuts what has
// CWR set itself, which the metadata of a packet could not tell.
func setOffloads(fds []int, want bool, header int) (checksum, segments bool, err error) {
	// An interface that another program has used may have a longer header.
	if err := unix.IoctlSetPointerInt(fds[0], unix.TUNSETVNETHDRSZ, header); err != nil {
		return false, false, fmt.Errorf("setting the size of the frames' header (TUNSETVNETHDRSZ): %w", err)
	}
	choices := []int{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6, unix.TUN_F_CSUM, 0}
	if !want {
		choices = choices[2:]
	}
	for _, flags := range choices {
		if err = unix.IoctlSetInt(fds[0], unix.TUNSETOFFLOAD, flags); err == nil {
			return flags&unix.TUN_F_CSUM != 0, flags&unix.TUN_F_TSO4 != 0, nil
		}
	}
	return false, false, fmt.Errorf("choosing the offloads (TUNSETOFFLOAD): %w", err)
}

// openError says what to do when /dev/net/tun cannot be opened.
func openError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("there is no %s: load the driver (modprobe tun), or give the container the device (--device %s): %w", tunPath, tunPath, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("opening %s is not permitted: run as root, or let the user read and write it: %w", tunPath, err)
	}
	return fmt.Errorf("opening %s: %w", tunPath, err)
}

// attachError says what to do when TUNSETIFF fails.
func attachError(err error, name string, multi bool) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("name=%s: creating it needs CAP_NET_ADMIN: run as root, or let root create it beforehand (ip tuntap add %s mode tap user $USER): %w", name, name, err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("name=%s: it is in use: another process has it open, or this one; choose another name: %w", name, err)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("name=%s: it cannot have that many queues: %w", name, err)
	case errors.Is(err, unix.EINVAL) && multi:
		return fmt.Errorf("name=%s: it cannot have several queues: it is no valid name, or an interface that is no TAP or has one queue (ip tuntap add %s mode tap multi_queue makes one with many): %w", name, name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("name=%s: it is no valid name, or an interface that is no TAP: choose another name: %w", name, err)
	}
	return fmt.Errorf("name=%s: creating it: %w", name, err)
}
