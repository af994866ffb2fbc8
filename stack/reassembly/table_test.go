package reassembly

import (
	"bytes"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sec = time.Second

var (
	key4 = Key{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 7, 17}
	key6 = Key{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 7, 0}

	header4 = bytes.Repeat([]byte{0x45}, 20)
	header6 = bytes.Repeat([]byte{0x60}, 48)
)

// data returns n bytes in which each place looks different.
func data(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// cut returns the fragment of payload from off to end.
func cut(key Key, payload []byte, off, end int) *Fragment {
	header := header4
	if key.Src.Is6() {
		header = header6
	}
	return &Fragment{Key: key, Offset: off, More: end < len(payload), Header: header, Payload: payload[off:end]}
}

// split cuts payload into fragments of size.
func split(key Key, payload []byte, size int) (fs []*Fragment) {
	for off := 0; off < len(payload); off += size {
		fs = append(fs, cut(key, payload, off, min(off+size, len(payload))))
	}
	return fs
}

func TestFragmentsInAnyOrderGiveTheDatagram(t *testing.T) {
	whole := data(70)
	for _, key := range []Key{key4, key6} {
		fs := split(key, whole, 24) // three
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			table := New(DefaultIPv4())
			for n, i := range order {
				d, status := table.Add(fs[i], sec)
				if n < 2 {
					require.Equal(t, Held, status)
					continue
				}
				require.Equal(t, Complete, status)
				require.Equal(t, Datagram{fs[0].Header, whole, 0}, d)
			}
			require.Zero(t, table.Len())
			require.Zero(t, table.Bytes())
			require.Equal(t, Never, table.Next())
			require.Empty(t, table.pairs)
		}
	}
}

func TestLargestDatagramIsAccepted(t *testing.T) {
	for _, tt := range []struct {
		key Key
		max int
	}{{key4, 65515}, {key6, 65535}} {
		table := New(DefaultIPv4())
		var d Datagram
		var status Status
		for _, f := range split(tt.key, data(tt.max), 1448) {
			d, status = table.Add(f, 0)
		}
		require.Equal(t, Complete, status)
		require.Equal(t, data(tt.max), d.Payload)

		f := cut(tt.key, data(tt.max+1), 65504, tt.max+1)
		_, status = table.Add(f, 0)
		require.Equal(t, TooBig, status)
	}
}

func TestNothingOfTheFragmentIsKept(t *testing.T) {
	table := New(DefaultIPv4())
	whole := data(32)
	scratch, header := make([]byte, 16), make([]byte, 20)
	for off := 0; off < 32; off += 16 {
		copy(scratch, whole[off:])
		copy(header, header4)
		d, status := table.Add(&Fragment{Key: key4, Offset: off, More: off == 0, Header: header, Payload: scratch}, 0)
		clear(scratch)
		clear(header)
		if status == Complete {
			require.Equal(t, whole, d.Payload)
			require.Equal(t, header4, d.Header)
			return
		}
	}
	t.Fatal("not complete")
}

func TestDatagramsOfDifferentKeysDoNotMix(t *testing.T) {
	table := New(DefaultIPv4())
	keys := []Key{key4, key4, key4, key4}
	keys[1].ID++
	keys[2].Proto++
	keys[3].Src, keys[3].Dst = keys[3].Dst, keys[3].Src
	whole := data(32)
	for _, k := range keys {
		_, status := table.Add(cut(k, whole, 0, 16), 0)
		require.Equal(t, Held, status)
	}
	require.Equal(t, len(keys), table.Len())
	_, status := table.Add(cut(keys[2], whole, 16, 32), 0)
	require.Equal(t, Complete, status)
	require.Equal(t, len(keys)-1, table.Len())
}

func TestAtomicFragmentIsCompleteAloneAndDisturbsNoOther(t *testing.T) {
	table := New(DefaultIPv6())
	whole := data(32)
	table.Add(cut(key6, whole, 0, 16), 0)
	atomic := data(11)
	d, status := table.Add(cut(key6, atomic, 0, 11), 0)
	require.Equal(t, Complete, status)
	require.Equal(t, atomic, d.Payload)
	d, status = table.Add(cut(key6, whole, 16, 32), 0)
	require.Equal(t, Complete, status)
	require.Equal(t, whole, d.Payload)
}

func TestExactCopyOfAFragmentIsIgnored(t *testing.T) {
	for _, key := range []Key{key4, key6} {
		whole := data(40)
		table := New(DefaultIPv4())
		fs := split(key, whole, 16)
		for _, i := range []int{0, 0, 2, 2, 0} {
			table.Add(fs[i], 0)
		}
		require.EqualValues(t, 3, table.Stats().Duplicates)
		d, status := table.Add(fs[1], 0)
		require.Equal(t, Complete, status)
		require.Equal(t, whole, d.Payload)
	}
}

func TestOverlapDropsTheDatagram(t *testing.T) {
	whole := data(64)
	other := bytes.Repeat([]byte{0xee}, 64)
	last := func(f *Fragment) *Fragment { f.More = false; return f }
	more := func(f *Fragment) *Fragment { f.More = true; return f }
	for name, fs := range map[string]func(k Key) []*Fragment{
		"same range, other bytes": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 8, 24), cut(k, other, 8, 24)}
		},
		"tail over head": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 0, 24), cut(k, whole, 16, 32)}
		},
		"head over tail": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 16, 32), cut(k, whole, 0, 24)}
		},
		"inside": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 0, 32), cut(k, whole, 8, 16)}
		},
		"around": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 8, 16), cut(k, whole, 0, 32)}
		},
		"same start, longer": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 8, 16), cut(k, whole, 8, 24)}
		},
		"beyond the end": func(k Key) []*Fragment {
			return []*Fragment{last(cut(k, whole, 16, 24)), cut(k, whole, 24, 32)}
		},
		"last before others": func(k Key) []*Fragment {
			return []*Fragment{cut(k, whole, 24, 32), last(cut(k, whole, 8, 16))}
		},
		"two ends": func(k Key) []*Fragment {
			return []*Fragment{last(cut(k, whole, 16, 24)), last(cut(k, whole, 32, 40))}
		},
		"copy but for the flag": func(k Key) []*Fragment {
			return []*Fragment{last(cut(k, whole, 16, 24)), more(cut(k, whole, 16, 24))}
		},
		"copy but for the flag, last": func(k Key) []*Fragment {
			return []*Fragment{more(cut(k, whole, 16, 24)), last(cut(k, whole, 16, 24))}
		},
	} {
		for _, key := range []Key{key4, key6} {
			table := New(DefaultIPv6())
			pair := fs(key)
			_, status := table.Add(pair[0], 0)
			require.Equal(t, Held, status, name)
			_, status = table.Add(pair[1], 0)
			require.Equal(t, Overlapped, status, name)
			require.EqualValues(t, 1, table.Stats().Overlapped)

			if key.Src.Is4() {
				require.Zero(t, table.Len())
				require.Zero(t, table.Bytes())
				continue
			}
			// What comes later is dropped too, until the time is over.
			for _, f := range split(key, whole, 16) {
				_, status := table.Add(f, sec)
				require.Equal(t, Refused, status)
			}
			require.Equal(t, overhead, table.Bytes())
			require.Empty(t, table.Advance(60*sec, nil), "silently")
			require.Zero(t, table.Len())
		}
	}
}

func TestFragmentsOfImpossibleLengthAreDropped(t *testing.T) {
	for _, tt := range []struct {
		off, n int
		more   bool
		want   Status
	}{
		{0, 7, true, BadLength},
		{0, 0, true, BadLength},
		{8, 0, false, BadLength},
		{4, 8, true, BadLength},
		{-8, 8, true, BadLength},
		{65528, 8, true, TooBig},
		{65528, 100, false, TooBig},
		{8, 7, false, Held},
	} {
		table := New(DefaultIPv4())
		_, status := table.Add(&Fragment{Key: key4, Offset: tt.off, More: tt.more, Header: header4, Payload: data(tt.n)}, 0)
		require.Equal(t, tt.want, status, "%+v", tt)
		if status != Held {
			require.Zero(t, table.Len())
		}
	}
}

func TestFirstFragmentsLongHeaderCountsToo(t *testing.T) {
	table := New(DefaultIPv4())
	whole := data(65512)
	fs := split(key4, whole, 32768)
	fs[0].Header = make([]byte, 60)
	table.Add(fs[1], 0)
	_, status := table.Add(fs[0], 0)
	require.Equal(t, TooBig, status)
	require.Zero(t, table.Len())
}

func TestIncompleteDatagramExpires(t *testing.T) {
	whole := data(64)
	for _, tt := range []struct {
		cfg      Config
		lifetime time.Duration
	}{{DefaultIPv4(), 30 * sec}, {DefaultIPv6(), 60 * sec}} {
		table := New(tt.cfg)
		table.Add(cut(key4, whole, 16, 32), 5*sec)
		table.Add(cut(key4, whole, 0, 16), 20*sec) // does not prolong it
		require.Equal(t, 5*sec+tt.lifetime, table.Next())
		require.Empty(t, table.Advance(5*sec+tt.lifetime-1, nil))
		require.Equal(t, 1, table.Len())
		require.Equal(t, []Expired{{key4, header4, whole[:16]}}, table.Advance(5*sec+tt.lifetime, nil))
		require.Zero(t, table.Len())
		require.Zero(t, table.Bytes())
		require.Equal(t, Never, table.Next())
		require.EqualValues(t, 1, table.Stats().TimedOut)
	}
}

func TestExpiryWithoutTheFirstFragmentIsSilent(t *testing.T) {
	table := New(DefaultIPv4())
	table.Add(cut(key4, data(64), 16, 32), 0)
	require.Empty(t, table.Advance(30*sec, nil))
	require.EqualValues(t, 1, table.Stats().TimedOut)
}

// start adds the first fragment, of n bytes, of datagram number id between the hosts of key.
func start(table *Table, key Key, id, n int) Status {
	key.ID = uint32(id)
	_, status := table.Add(cut(key, data(n+8), 0, n), time.Duration(id))
	return status
}

func TestTooManyDatagramsEvictTheOldest(t *testing.T) {
	table := New(Config{MaxDatagrams: 3})
	for id := range 5 {
		start(table, key4, id, 8)
	}
	require.Equal(t, 3, table.Len())
	require.EqualValues(t, 2, table.Stats().EvictedCount)
	require.Equal(t, 2+30*sec, table.Next(), "the third is the oldest")
}

func TestTooManyBytesEvictTheOldest(t *testing.T) {
	table := New(Config{MaxBytes: 64 << 10})
	for id := range 100 {
		require.Equal(t, Held, start(table, key4, id, 1480))
		require.LessOrEqual(t, table.Bytes(), 64<<10)
	}
	require.EqualValues(t, 100-table.Len(), table.Stats().EvictedBytes)
}

func TestPairOfHostsEvictsOnlyItsOwn(t *testing.T) {
	table := New(Config{MaxPairBytes: 64 << 10})
	quiet := key4
	quiet.Src = netip.MustParseAddr("198.51.100.1")
	start(table, quiet, 0, 1480)
	for id := range 1000 {
		start(table, key4, id, 1480)
	}
	require.LessOrEqual(t, table.pairs[addresses{key4.Src, key4.Dst}].bytes, 64<<10)
	require.NotZero(t, table.Stats().EvictedPair)
	require.Equal(t, 30*sec, table.Next(), "the quiet host's is still there")
}

func TestDatagramOfTooManyFragmentsIsDropped(t *testing.T) {
	table := New(Config{MaxFragments: 4})
	fs := split(key4, data(48), 8)
	for i, f := range fs[:5] {
		_, status := table.Add(f, 0)
		require.Equal(t, i == 4, status == Refused)
	}
	require.Zero(t, table.Len())
	require.EqualValues(t, 1, table.Stats().TooManyFragments)
}

func TestDatagramThatCannotFitIsDropped(t *testing.T) {
	for _, cfg := range []Config{{MaxBytes: 2000}, {MaxPairBytes: 2000}} {
		table := New(cfg)
		require.Equal(t, Refused, start(table, key4, 0, 2000))
		require.Zero(t, table.Bytes())
		require.EqualValues(t, 1, table.Stats().NoMemory)
	}
}

func TestCongestionMarksSurviveReassembly(t *testing.T) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	for _, tt := range []struct {
		a, b uint8
		want uint8
		ok   bool
	}{
		{notECT, notECT, notECT, true},
		{ect0, ect0, ect0, true},
		{ect1, ect1, ect1, true},
		{ect0, ce, ce, true},
		{ce, ect1, ce, true},
		{ce, ce, ce, true},
		{ect0, ect1, ect0, true},
		{notECT, ect0, notECT, true},
		{notECT, ce, 0, false},
	} {
		table := New(DefaultIPv4())
		fs := split(key4, data(32), 16)
		fs[0].ECN, fs[1].ECN = tt.a, tt.b
		table.Add(fs[0], 0)
		d, status := table.Add(fs[1], 0)
		if !tt.ok {
			require.Equal(t, Refused, status)
			require.EqualValues(t, 1, table.Stats().MixedECN)
			continue
		}
		require.Equal(t, Complete, status)
		require.Equal(t, tt.want, d.ECN, "%+v", tt)
	}
}

func TestClearForgetsEverything(t *testing.T) {
	table := New(Config{})
	for id := range 10 {
		start(table, key6, id, 8)
	}
	table.Clear()
	require.Zero(t, table.Len())
	require.Zero(t, table.Bytes())
	require.Empty(t, table.pairs)
	require.Equal(t, Never, table.Next())
}

// Four queues get fragments of the same datagrams, each fragment on three of
// them: every datagram is completed, whoever comes last.
func TestFragmentsMayArriveOnSeveralQueues(t *testing.T) {
	const datagrams = 300
	table := New(Config{MaxDatagrams: 2 * datagrams})
	whole := data(400)
	var completed [datagrams]atomic.Int32
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for id := range datagrams {
				key := key4
				key.ID = uint32(id)
				for i, f := range split(key, whole, 104) {
					if i == g {
						continue
					}
					if d, status := table.Add(f, sec); status == Complete {
						completed[id].Add(1)
						if !bytes.Equal(d.Payload, whole) {
							t.Error("wrong bytes")
						}
					}
				}
				table.Advance(sec, nil)
			}
		})
	}
	wg.Wait()
	for id := range completed {
		require.NotZero(t, completed[id].Load(), "datagram %d", id)
	}
}
