package fastnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// longWait bounds what should take no time.
const longWait = 20 * time.Second

// filer is what has a File.
type filer interface{ File() (*os.File, error) }

func fileOf(t *testing.T, s filer) *os.File {
	t.Helper()
	f, err := s.File()
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// copyOf is a copy of f by dup(2).
func copyOf(t *testing.T, f *os.File) *os.File {
	t.Helper()
	var fd int
	c, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, c.Control(func(d uintptr) { fd, err = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 0) }))
	require.NoError(t, err)
	file := os.NewFile(uintptr(fd), "copy")
	t.Cleanup(func() { file.Close() })
	return file
}

// connOf is FileConn of a connection of the stack's.
func connOf(t *testing.T, f *os.File) *TCPConn {
	t.Helper()
	c, err := FileConn(f)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NotNil(t, c.(*TCPConn).Stack())
	return c.(*TCPConn)
}

func says(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_, err := io.ReadFull(r, b)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := w.Write([]byte(s))
	require.NoError(t, err)
}

// A connection ends when all that hold it are closed: connections, Files, and copies of
// these.
func TestConnectionEndsWithItsLastHolder(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	second := copyOf(t, f)
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Close(), net.ErrClosed)
	require.ErrorIs(t, errOf(c.Write([]byte("x"))), net.ErrClosed)
	require.ErrorIs(t, c.SetNoDelay(false), net.ErrClosed)
	require.ErrorIs(t, c.CloseWrite(), net.ErrClosed)
	require.ErrorIs(t, errOf(c.File()), net.ErrClosed)

	again := connOf(t, f)
	require.Equal(t, c.LocalAddr(), again.LocalAddr())
	require.Equal(t, c.RemoteAddr(), again.RemoteAddr())
	require.NoError(t, f.Close())
	write(t, again, "one")
	says(t, peer, "one")
	require.NoError(t, again.SetNoDelay(false))
	require.NoError(t, again.Close())

	third := connOf(t, second)
	require.NoError(t, second.Close())
	write(t, peer, "two")
	says(t, third, "two")
	require.NoError(t, third.Close())
	peer.SetReadDeadline(time.Now().Add(longWait))
	require.Equal(t, io.EOF, errOf(peer.Read(make([]byte, 1))))
}

// Holders have deadlines of their own, and the close of one ends its own calls only.
func TestHoldersDoNotDisturbEachOther(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	again := connOf(t, fileOf(t, c))
	got := readAll(again)
	ended := make(chan error, 1)
	go func() { ended <- errOf(c.Read(make([]byte, 1))) }()
	require.NoError(t, c.SetReadDeadline(past))
	require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(never))
	go func() { ended <- errOf(c.Read(make([]byte, 1))) }()
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
	write(t, peer, "for the other")
	require.NoError(t, peer.CloseWrite())
	require.Equal(t, "for the other", <-got)
	var out net.Buffers = [][]byte{[]byte("buf"), []byte("fers")}
	_, err := (*Buffers)(&out).WriteTo(again)
	require.NoError(t, err)
	_, err = again.ReadFrom(strings.NewReader(" and a reader"))
	require.NoError(t, err)
	says(t, peer, "buffers and a reader")
}

// The File of a connection carries its bytes, as cat(1) finds that gets it as both
// its standard input and output, once the program has closed its own connection.
func TestChildServesAConnectionByItsFile(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip("cat is not installed")
	}
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	cmd := exec.Command(cat)
	cmd.Stdin, cmd.Stdout = f, f
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	require.NoError(t, cmd.Start())
	require.NoError(t, f.Close())
	require.NoError(t, c.Close())
	got := readAll(peer)
	text := strings.Repeat("Ring the bells that still can ring. ", 30_000) // more than the pair holds
	write(t, peer, text)

	require.NoError(t, peer.CloseWrite())
	require.True(t, text == <-got)
	require.NoError(t, cmd.Wait(), complaint.String())
}

// A child that answers and exits ends the connection well: all that came was read.
func TestChildAnswersAndExits(t *testing.T) {
	head, err := exec.LookPath("head")
	if err != nil {
		t.Skip("head is not installed")
	}
	for range 10 {
		l := newLab(t, labConfig{})
		c, peer := l.connect(t, "tcp", serverIP+":0")
		f := fileOf(t, c)
		cmd := exec.Command(head, "-c", "8")
		cmd.Stdin, cmd.Stdout = f, f
		require.NoError(t, cmd.Start())
		require.NoError(t, f.Close())
		require.NoError(t, c.Close())
		got := readAll(peer)
		write(t, peer, "question")
		require.Equal(t, "question", <-got)
		require.NoError(t, cmd.Wait())
	}
}

// One that exits without having read what came resets it, as the kernel does.
func TestFileIsClosedWithSomethingToRead(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	require.NoError(t, c.Close())
	write(t, peer, "question")
	says(t, f, "quest")
	require.NoError(t, f.Close())
	peer.SetReadDeadline(time.Now().Add(longWait))
	require.ErrorIs(t, errOf(peer.Read(make([]byte, 1))), syscall.ECONNRESET)
}

// What a File's reader has not taken, a new connection reads.
func TestFileGivesBackWhatNobodyHasRead(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	require.NoError(t, c.Close())
	write(t, peer, "first second ")
	says(t, f, "first ")
	again := connOf(t, f)
	write(t, peer, "third")
	says(t, again, "second third")
	require.NoError(t, again.Close())
	write(t, peer, "fourth")
	says(t, f, "fourth")
	write(t, f, "answer")
	says(t, peer, "answer")
	require.NoError(t, peer.CloseWrite())
	require.Equal(t, io.EOF, errOf(f.Read(make([]byte, 1))))
	require.NoError(t, f.Close())
	peer.SetReadDeadline(time.Now().Add(longWait))
	require.Equal(t, io.EOF, errOf(peer.Read(make([]byte, 1))))
}

// While a connection is open its File reads nothing: it would be taken from it.
func TestFileTakesNothingFromAnOpenConnection(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	write(t, peer, "for the connection")
	require.NoError(t, f.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, errOf(f.Read(make([]byte, 1))), os.ErrDeadlineExceeded)
	says(t, c, "for the connection")
	write(t, f, "from the file")
	says(t, peer, "from the file")
}

// After the connection's end who writes to its File gets EPIPE.
func TestFileOfAConnectionThatWasReset(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	f := fileOf(t, c)
	require.NoError(t, c.Close())
	require.NoError(t, peer.SetLinger(0))
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool {
		_, err := f.Write([]byte("x"))
		return errors.Is(err, syscall.EPIPE)
	}, longWait, time.Millisecond)
	// Its hold is given up a moment after that; until then FileConn makes a holder of
	// the dead connection, as of one of the kernel's.
	require.Eventually(t, func() bool {
		c, err := FileConn(f)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, net.ErrClosed)
	}, longWait, time.Millisecond)
}

func TestListenerGoesOnByItsFile(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", serverIP+":0")
	require.NoError(t, err)
	f := fileOf(t, ln.(filer))
	accepts := make(chan error, 1)
	go func() { accepts <- errOf(ln.Accept()) }()
	second, err := FileListener(f)
	require.NoError(t, err)
	require.Equal(t, ln.Addr(), second.Addr())
	require.NoError(t, ln.Close())
	require.ErrorIs(t, <-accepts, net.ErrClosed)
	require.NoError(t, f.Close())

	require.NoError(t, second.(*TCPListener).SetDeadline(past))
	require.ErrorIs(t, errOf(second.Accept()), os.ErrDeadlineExceeded)
	require.NoError(t, second.(*TCPListener).SetDeadline(never))
	c, err := l.client.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	s, err := second.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, second.Close())
	require.Eventually(t, func() bool { // soon after the File is closed
		return errors.Is(errOf(l.client.Dial("tcp", ln.Addr().String())), syscall.ECONNREFUSED)
	}, longWait, time.Millisecond)
}

// A listener that only a File holds still accepts for who comes later.
func TestFileAloneKeepsAListener(t *testing.T) {
	l := newLab(t, labConfig{})
	ln, err := l.server.Listen("tcp", serverIP+":0")
	require.NoError(t, err)
	f := fileOf(t, ln.(filer))
	require.NoError(t, ln.Close())
	c, err := l.client.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	again, err := FileListener(f)
	require.NoError(t, err)
	s, err := again.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, again.Close())
	require.NoError(t, f.Close())
	require.Eventually(t, func() bool {
		return errors.Is(errOf(l.client.Dial("tcp", ln.Addr().String())), syscall.ECONNREFUSED)
	}, longWait, time.Millisecond)
}

func TestDatagramSocketsGoOnByTheirFiles(t *testing.T) {
	l := newLab(t, labConfig{})
	p, err := l.server.ListenPacket("udp", serverIP+":0")
	require.NoError(t, err)
	c, err := l.client.Dial("udp", p.LocalAddr().String())
	require.NoError(t, err)
	pf, cf := fileOf(t, p.(filer)), fileOf(t, c.(filer))
	require.NoError(t, p.Close())
	require.NoError(t, c.Close())
	require.ErrorIs(t, errOf(c.Write([]byte("x"))), net.ErrClosed)
	again, err := FilePacketConn(pf)
	require.NoError(t, err)
	defer again.Close()
	conn, err := FileConn(cf)
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, p.LocalAddr(), again.LocalAddr())
	require.Equal(t, c.RemoteAddr(), conn.RemoteAddr())
	write(t, conn, "question")
	b := make([]byte, 16)
	n, from, err := again.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, "question", string(b[:n]))
	_, err = again.WriteTo([]byte("answer"), from)
	require.NoError(t, err)
	says(t, conn, "answer")

	icmp, err := l.client.ListenPacket("ip4:icmp", "")
	require.NoError(t, err)
	f := fileOf(t, icmp.(filer))
	require.NoError(t, icmp.Close())
	i, err := FilePacketConn(f)
	require.NoError(t, err)
	_, err = i.WriteTo([]byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}, &IPAddr{IP: ParseIP(serverIP)})
	require.NoError(t, err)
	_, from, err = i.ReadFrom(b)
	require.NoError(t, err)
	require.Equal(t, serverIP, from.String())
	require.NoError(t, i.Close())
}

// A File of one kind is none of another, and what cannot be had of it is an error.
func TestFilesOfOtherKinds(t *testing.T) {
	l := newLab(t, labConfig{})
	c, _ := l.connect(t, "tcp", serverIP+":0")
	ln, err := l.server.Listen("tcp", serverIP+":0")
	require.NoError(t, err)
	defer ln.Close()
	p, err := l.server.ListenPacket("udp", serverIP+":0")
	require.NoError(t, err)
	defer p.Close()
	cf, lf, pf := fileOf(t, c), fileOf(t, ln.(filer)), fileOf(t, p.(filer))
	for _, err := range []error{errOf(FileListener(cf)), errOf(FilePacketConn(cf)), errOf(FileConn(lf)), errOf(FilePacketConn(lf)), errOf(FileListener(pf))} {
		var op *OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "file", op.Op)
		require.Equal(t, syscall.EINVAL, op.Err)
	}
	require.Equal(t, io.EOF, errOf(pf.Read(make([]byte, 1))), "a datagram socket's carries nothing")
	c2, err := FileConn(pf)
	require.NoError(t, err, "as package net")
	require.NoError(t, c2.Close())

	// An option of TCP's is refused there, and not lost.
	require.Equal(t, syscall.EOPNOTSUPP, syscall.SetsockoptInt(int(cf.Fd()), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
	require.NoError(t, cf.Close())
	require.Error(t, errOf(FileConn(cf)))
	write(t, c, "still there")
}

// A child that gets a File of what only this process has is told so.
func TestFileOfAnotherProcess(t *testing.T) {
	const env = "FASTNET_TEST_FILE"
	if os.Getenv(env) != "" {
		f := os.NewFile(3, "inherited")
		err := errOf(FileListener(f))
		if err == nil || !strings.Contains(err.Error(), "only that process can use") || !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		c, err := FileConn(os.NewFile(4, "connection"))
		require.NoError(t, err, "this one carries the bytes")
		write(t, c, "from the child")
		return
	}
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	ln, err := l.server.Listen("tcp", serverIP+":0")
	require.NoError(t, err)
	defer ln.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileOfAnotherProcess$")
	cmd.Env = append(os.Environ(), env+"=1", "FASTNET=")
	cmd.ExtraFiles = []*os.File{fileOf(t, ln.(filer)), fileOf(t, c)}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), out.String())
	says(t, peer, "from the child")
}

// A network's Close ends what only Files hold.
func TestNetworkEndsWithFilesOpen(t *testing.T) {
	l := newLab(t, labConfig{})
	c, peer := l.connect(t, "tcp", serverIP+":0")
	ln, err := l.client.Listen("tcp", clientIP+":0")
	require.NoError(t, err)
	p, err := l.client.ListenPacket("udp", clientIP+":0")
	require.NoError(t, err)
	files := []*os.File{fileOf(t, c), fileOf(t, ln.(filer)), fileOf(t, p.(filer))}
	require.NoError(t, c.Close())
	require.NoError(t, l.client.Close())
	require.ErrorIs(t, errOf(FileConn(files[0])), net.ErrClosed)
	require.ErrorIs(t, errOf(FileListener(files[1])), net.ErrClosed)
	require.ErrorIs(t, errOf(FilePacketConn(files[2])), net.ErrClosed)
	peer.SetReadDeadline(time.Now().Add(longWait))
	require.Error(t, errOf(peer.Read(make([]byte, 1))))
	for _, f := range files {
		require.NoError(t, f.Close())
	}
}
