package afpacket

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/fastnet-go/fastnet/internal/nictest"
	"github.com/fastnet-go/fastnet/nic"
)

func TestSuperSegmentsCrossBothWays(t *testing.T) {
	for _, features := range []string{"on", "off"} {
		t.Run("tso-"+features, func(t *testing.T) {
			h := cable(t)
			h.Ours.Shell(t, "ethtool -K fnb tx "+features+" sg "+features+" tso "+features)
			h.Theirs.Shell(t, "ethtool -K fna tx "+features+" sg "+features+" tso "+features+" gso "+features)
			h.open(Config{})
			require.True(t, h.dev.Info().Offloads.Has(nic.TSO4|nic.TSO6|nic.LRO|nic.TxChecksum|nic.RxChecksum))
			largest := h.CarriesSuperSegments(60000)
			if features == "on" {
				// Two segments at the least, however slow the path seems to be.
				require.Greater(t, largest, 1514, "the kernel left the cutting to us")
			} else {
				require.LessOrEqual(t, largest, 1514)
			}
		})
	}
}

// TestDatagramsThatTheKernelLeftTogetherAreCut: UDP_SEGMENT on veth, which nobody
// asked whether the receiver takes it.
func TestDatagramsThatTheKernelLeftTogetherAreCut(t *testing.T) {
	h := openHost(t, Config{})
	fd := h.Socket(unix.SOCK_DGRAM, 7777)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Skipf("this kernel has no UDP_SEGMENT: %v", err)
	}
	h.Meet()
	data := make([]byte, 40500)
	for i := range data {
		data[i] = byte(i * 7 >> 2)
	}
	for range 3 {
		nictest.ToUs(t, fd, 5000, string(data))
	}
	for i := range 3 * 41 {
		p := h.Await("a datagram", nictest.IsUDP)
		n := min(1000, len(data)-i%41*1000)
		require.Equal(t, 42+n, p.FrameLen(), "datagram %d", i)
		require.Equal(t, data[i%41*1000:][:n], p.Bytes()[42:])
		require.Equal(t, nic.ChecksumPartial, p.Checksum)
		nictest.RequireSum(t, p, unix.IPPROTO_UDP)
		p.Release()
	}
	require.Zero(t, h.Queue(0).Stats().RxDropped)
}
