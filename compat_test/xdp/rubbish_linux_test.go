package xdp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	stdnet "net"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// rubbish: COUNT MAC SEED: frames to a station that no sender of good will sends: random
// ones, and good ones of TCP, UDP, ICMP and fragments with some bytes changed.
func (p *agent) rubbish(args []string) (string, error) {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	to, err := stdnet.ParseMAC(args[1])
	if err != nil {
		return "", err
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return "", err
	}
	i, err := stdnet.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
		return "", err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	random := rand.NewChaCha8([32]byte{byte(seed)})
	templates := goodFrames()
	sent := 0
	for range count {
		var b []byte
		if r.IntN(4) == 0 {
			b = make([]byte, 14+r.IntN(1500))
			random.Read(b)
			copy(b[12:], [][]byte{{8, 0}, {0x86, 0xdd}, {8, 6}, {0x81, 0}, b[12:14]}[r.IntN(5)])
		} else {
			b = append([]byte(nil), templates[r.IntN(len(templates))]...)
			for range 1 + r.IntN(6) {
				b[14+r.IntN(len(b)-14)] = byte(r.Uint32())
			}
			if b[12] == 8 && b[13] == 6 && bytes.Equal(b[28:32], []byte{10, 9, 0, 2}) {
				b[31] = 77 // not by chance either
			}
			if r.IntN(8) == 0 {
				b = b[:14+r.IntN(len(b)-14)]
			}
		}
		copy(b, to)
		copy(b[6:], i.HardwareAddr)
		if r.IntN(16) == 0 {
			b[0] |= 1
		}
		if unix.Send(fd, b, 0) == nil {
			sent++
		}
		if sent%64 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return strconv.Itoa(sent), nil
}

// goodFrames are frames from the client's addresses to ports that the tests listen on,
// without checksums.
func goodFrames() (all [][]byte) {
	for _, text := range []string{
		// IPv4: TCP SYN with MSS and window scale to 8080, ACK with data, UDP to
		// 5300, an echo request, a first and a later fragment, an ICMP error that
		// quotes TCP, an IP option.
		"0800 45000030000040004006000a 0a090002 0a090001 c0001f90 00000001 00000000 7002ffff 00000000 020405b4 01030307",
		"0800 4500003c000040004006000a 0a090002 0a090001 c0001f90 00000002 00000001 5018ffff 00000000 48656c6c6f48656c6c6f48656c6c6f48656c6c6f",
		"0800 45000024000040004011000a 0a090002 0a090001 c00014b4 00100000 7878787878787878",
		"0800 45000020000040004001000a 0a090002 0a090001 08000000 00010001 78787878",
		"0800 45000024000120004011000a 0a090002 0a090001 c00014b4 00180000 7878787878787878",
		"0800 4500001c000100024011000a 0a090002 0a090001 7878787878787878",
		"0800 45000038000040004001000a 0a090002 0a090001 03040000 00000240 4500002800004000400600000a0900010a090002 1f90c000 00000001",
		"0800 4700002c000040004006000a 0a090002 0a090001 0107040000000000 c0001f90 00000001 00000000 5002ffff 00000000 00000000",
		// ARP: a request, from nobody: as the client's it would misdirect the answers
		// to it, the kernel's too.
		"0806 0001080006040001 020000000a4d 0a09004d 000000000000 0a090001 0000000000000000",
		// IPv6: TCP SYN, a fragment, hop-by-hop options, a neighbour solicitation.
		"86dd 6000000000140640 fd090000000000000000000000000002 fd090000000000000000000000000001 c0001f90 00000001 00000000 5002ffff 00000000",
		"86dd 6000000000182c40 fd090000000000000000000000000002 fd090000000000000000000000000001 1100000100000007 c00014b4 00180000 7878787878787878",
		"86dd 60000000001c0040 fd090000000000000000000000000002 fd090000000000000000000000000001 0600010400000000 c0001f90 00000001 00000000 5002ffff 00000000",
		"86dd 6000000000183aff fd090000000000000000000000000002 fd090000000000000000000000000001 87000000 00000000 fd090000000000000000000000000001",
	} {
		var digits []byte
		for _, c := range []byte(text) {
			if c != ' ' {
				digits = append(digits, c)
			}
		}
		b := make([]byte, 12, 100)
		rest, err := hex.DecodeString(string(digits))
		if err != nil {
			panic(fmt.Sprint(text, err))
		}
		all = append(all, append(b, rest...))
	}
	return all
}

// wait: "start TO" has goroutines wait on the network: a Read, a Write to a peer that
// does not read, on connections to an address; an Accept and a ReadFrom on ports of
// their own. "ended" names those that have ended. "close" closes all sockets.
func (p *agent) wait(args []string) (string, error) {
	switch args[0] {
	case "start":
		ended := func(who string, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended = append(p.ended, fmt.Sprint(who, ":", err))
		}
		for _, who := range []string{"read", "write"} {
			c, err := net.DialTimeout("tcp", args[1], patience)
			if err != nil {
				return "", err
			}
			if owner(c) != "stack" {
				return "", fmt.Errorf("the connection is the %s's", owner(c))
			}
			p.kept = append(p.kept, c)
			go func() {
				var err error
				for b := make([]byte, 1<<16); err == nil; {
					if who == "read" {
						_, err = c.Read(b)
					} else {
						_, err = c.Write(b)
					}
				}
				ended(who, err)
			}()
		}
		l, err := net.Listen("tcp", ":7100")
		if err != nil {
			return "", err
		}
		u, err := net.ListenPacket("udp", ":7100")
		if err != nil {
			return "", err
		}
		p.kept = append(p.kept, l, u)
		go func() {
			_, err := l.Accept()
			ended("accept", err)
		}()
		go func() {
			_, _, err := u.ReadFrom(make([]byte, 1))
			ended("readfrom", err)
		}()
		return "waiting", nil
	case "close":
		for _, c := range p.kept {
			c.Close()
		}
		return "closed", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(len(p.ended), " ", p.ended), nil
}
