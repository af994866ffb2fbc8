package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// MigrateOnClose makes the kernel pass what a listening TCP socket has not accepted,
// half-open connections included, to another one of its SO_REUSEPORT group when it is
// closed, instead of resetting it: by a program of type BPF_PROG_TYPE_SK_REUSEPORT
// that is attached as BPF_SK_REUSEPORT_SELECT_OR_MIGRATE, of Linux 5.14 on, and leaves
// the choice to the kernel. The program is the group's, and stays when the socket is
// gone. It wants CAP_BPF. An MPTCP socket cannot have one.
func MigrateOnClose(fd int) error { return choose(fd, nil) }

// Prefer is MigrateOnClose, and from now on the kernel gives the group's new
// connections to this socket while it is open, as the newest one. So the others have
// none under way when they are closed: one whose handshake is completed, on another
// processor, in the moment of close(2) is reset in spite of MigrateOnClose (Linux 6.18,
// net/ipv4/inet_connection_sock.c, inet_csk_reqsk_queue_add). Where that cannot be it
// is MigrateOnClose alone. A socket that is preferred already, as another process has it
// too, stays so.
func Prefer(fd int) error {
	err := prefer(fd)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil
	case err != nil:
		return MigrateOnClose(fd)
	}
	return nil
}

func prefer(fd int) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "fastnet_newest", Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("a map for the newest socket of a port: %w", err)
	}
	defer m.Close() // the program has it; a socket that is closed leaves it
	if err := m.Put(uint32(0), uint64(fd)); err != nil {
		return fmt.Errorf("the newest socket of a port: %w", err)
	}
	return choose(fd, asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word), // the key
		asm.LoadMapPtr(asm.R2, m.FD()),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, -4),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkSelectReuseport.Call(), // R1 is the context still
	})
}

// choose attaches a program to the group of a socket. Where it selects none the kernel
// does, by hash, as without a program.
func choose(fd int, selects asm.Instructions) error {
	const pass = 1 // SK_PASS
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "fastnet_migrate", Type: ebpf.SkReuseport, AttachType: ebpf.AttachSkReuseportSelectOrMigrate,
		Instructions: append(selects, asm.Mov.Imm(asm.R0, pass), asm.Return()),
		License:      "BSD-3-Clause",
	})
	if err != nil {
		return fmt.Errorf("a program that keeps connections of a socket that closes: %w", err)
	}
	defer p.Close()
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, p.FD())
}

// DropSYNs makes a listening TCP socket begin no more connections, silently, so that
// their senders try again; those that have begun go on. It takes the place of another
// filter of the socket's.
func DropSYNs(fd int) error {
	const (
		flagsAt  = 13   // in the TCP header, where a filter of a TCP socket begins to read
		synOrACK = 0x12 // of the flags (RFC 9293 section 3.1)
		syn      = 0x02
		all      = 1<<32 - 1
	)
	program := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flagsAt},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: synOrACK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// AcceptQueue is how many connections accept(2) would return without waiting: of a
// listening socket TCP_INFO's tcpi_unacked (net/ipv4/tcp.c, tcp_get_info).
func AcceptQueue(fd int) (int, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return int(info.Unacked), nil
}
