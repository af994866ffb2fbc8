package afxdp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// A frame with a priority and without a VLAN (802.1p) reaches the stack by the wire as
// one without a tag does, and is answered.
func TestPriorityTagsReachTheStack(t *testing.T) {
	l := newLab(t, 1)
	stackHost(t, l, Config{})
	fd := l.raw()
	ask := func(what string, question []byte, answers func(frame []byte) bool) {
		t.Helper()
		copy(question[6:], l.peer[:])
		for range 3 { // what is sent first may find the link not ready
			_, err := write(fd, priority(question))
			require.NoError(t, err)
			b := make([]byte, 2048)
			for range 100 {
				n, err := read(fd, b)
				if err != nil {
					break // patience is over
				}
				if n > 14 && bytes.Equal(b[6:12], l.ourMAC[:]) && answers(b[:n]) {
					return
				}
			}
		}
		t.Fatalf("%s: no answer", what)
	}
	ask("ARP", arpFrame(broadcast, 1, hostIP, stackIP), func(b []byte) bool {
		return b[12] == 8 && b[13] == 6 && b[21] == 2 && bytes.Equal(b[28:32], stackIP.AsSlice())
	})
	echo := []byte{8, 0, 0, 0, 0, 7, 0, 1, 'p', 'r', 'i', 'o'}
	binary.BigEndian.PutUint16(echo[2:], ^sum(echo))
	packet := ip4{src: hostIP, dst: stackIP, protocol: 1}.packet(echo)
	binary.BigEndian.PutUint16(packet[10:], ^sum(packet[:20]))
	ask("ping", ether(l.ourMAC, 0x0800, packet), func(b []byte) bool {
		return b[12] == 8 && b[13] == 0 && b[23] == 1 && b[34] == 0 && bytes.Equal(b[38:46], echo[4:])
	})
}
