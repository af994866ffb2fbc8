package header

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// toeplitzKey is that of "Verifying the RSS hash calculation" in Microsoft's
// documentation of NDIS.
const toeplitzKey = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"

// The vectors of the same page: source, destination, hash over the addresses,
// and over addresses and ports.
func TestToeplitzMicrosoftVectors(t *testing.T) {
	key, err := hex.DecodeString(toeplitzKey)
	require.NoError(t, err)
	require.Len(t, key, ToeplitzKeyLen)
	for _, v := range []struct {
		dst, src string
		ip, tcp  uint32
	}{
		{"161.142.100.80:1766", "66.9.149.187:2794", 0x323e8fc2, 0x51ccc178},
		{"65.69.140.83:4739", "199.92.111.2:14230", 0xd718262a, 0xc626b0ea},
		{"12.22.207.184:38024", "24.19.198.95:12898", 0xd2d0a5de, 0x5c2b394a},
		{"209.142.163.6:2217", "38.27.205.30:48228", 0x82989176, 0xafc7327f},
		{"202.188.127.2:1303", "153.39.163.191:44251", 0x5d1809c5, 0x10e828a2},
		{"[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x2cc18cd5, 0x40207d3d},
		{"[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0x0f0c461c, 0xdde51bbf},
		{"[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", 0x4b61e985, 0x02d1feef},
	} {
		src, dst := netip.MustParseAddrPort(v.src), netip.MustParseAddrPort(v.dst)
		in := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
		require.Equal(t, v.ip, Toeplitz(key, in), v.src)
		require.Equal(t, v.tcp, ToeplitzTCP(key, src, dst), v.src)
	}
}

// A key that is too short for the input is as one with zeros behind it.
func TestToeplitzShortKey(t *testing.T) {
	key, err := hex.DecodeString(toeplitzKey)
	require.NoError(t, err)
	in := make([]byte, 36)
	for i := range in {
		in[i] = byte(i*37 + 1)
	}
	for n := 8; n <= len(key); n++ {
		padded := append(append([]byte(nil), key[:n]...), make([]byte, 80)...)
		require.Equal(t, Toeplitz(padded, in), Toeplitz(key[:n], in), n)
	}
	require.Zero(t, Toeplitz(nil, in))
	require.Zero(t, Toeplitz(key[:7], in))
	require.Zero(t, Toeplitz(key, nil))
}
