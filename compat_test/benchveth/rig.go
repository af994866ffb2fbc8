package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A rig is a client's namespace and one for each server, each joined to the
// client's by a veth pair of its own.
type rig struct {
	client string
	names  []string // of all namespaces
	ends   []string // of the servers' pairs, in the client's namespace
}

func newRig(servers int) (*rig, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces and XDP need root: sudo make bench-veth")
	}
	r := &rig{}
	var err error
	if r.client, err = r.namespace("c"); err != nil {
		return nil, err
	}
	// Ports enough for the connections of a round, whose TIME-WAIT is at the
	// server's end.
	_, err = inside(r.client, "sh", "-c", "echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range")
	for i := 0; i < servers && err == nil; i++ {
		err = r.join(i)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// serverAddress is where server i is.
func serverAddress(i int) string { return fmt.Sprintf("10.88.%d.1", i) }

// join makes the namespace of server i and its pair.
func (r *rig) join(i int) error {
	ns, err := r.namespace(fmt.Sprint("s", i))
	if err != nil {
		return err
	}
	end := fmt.Sprint("v", i)
	r.ends = append(r.ends, end)
	for _, line := range []string{
		fmt.Sprintf("-n %s link add %s type veth peer name eth0 netns %s", r.client, end, ns),
		fmt.Sprintf("-n %s addr add 10.88.%d.2/24 dev %s", r.client, i, end),
		fmt.Sprintf("-n %s addr add %s/24 dev eth0", ns, serverAddress(i)),
		fmt.Sprintf("-n %s link set %s up", r.client, end),
		fmt.Sprintf("-n %s link set eth0 up", ns),
	} {
		if _, err := command("ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// server is the name of server i's namespace.
func (r *rig) server(i int) string { return r.names[i+1] }

// plain turns segmentation off at both ends of server i's pair.
func (r *rig) plain(i int) error {
	_, a := inside(r.client, "ethtool", "-K", r.ends[i], "tso", "off", "gso", "off")
	_, b := inside(r.server(i), "ethtool", "-K", "eth0", "tso", "off", "gso", "off")
	return errors.Join(a, b)
}

// namespaceName is that of a namespace of this process.
func namespaceName(suffix string) string { return fmt.Sprintf("fnbv-%d-%s", os.Getpid(), suffix) }

func (r *rig) namespace(suffix string) (string, error) {
	name := namespaceName(suffix)
	if _, err := command("ip", "netns", "add", name); err != nil {
		return "", err
	}
	r.names = append(r.names, name)
	_, err := command("ip", "-n", name, "link", "set", "lo", "up")
	return name, err
}

// close deletes the namespaces, and with them what is in them.
func (r *rig) close() error {
	var errs []error
	for _, name := range r.names {
		_, err := command("ip", "netns", "del", name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// inside runs a command in a namespace.
func inside(ns, name string, args ...string) (string, error) {
	return command("ip", append([]string{"netns", "exec", ns, name}, args...)...)
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
