package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/nic"
	"github.com/fastnet-go/fastnet/nic/wire"
)

// block is a block of a file as a reader sees it.
type block struct {
	kind    uint32
	body    []byte            // without lengths
	options map[uint16]string // for the kinds that read knows
	data    []byte            // of a packet
}

func (b *block) u32(off int) uint32 { return binary.LittleEndian.Uint32(b.body[off:]) }

func (b *block) nanos(off int) time.Duration {
	return time.Duration(uint64(b.u32(off))<<32 | uint64(b.u32(off+4)))
}

func (b *block) number(code uint16) uint64 {
	var v [8]byte
	copy(v[:], b.options[code])
	return binary.LittleEndian.Uint64(v[:])
}

// read takes a file apart and insists on its form.
func read(t *testing.T, file []byte) []block {
	t.Helper()
	var blocks []block
	for len(file) > 0 {
		require.GreaterOrEqual(t, len(file), 12)
		b := block{kind: binary.LittleEndian.Uint32(file)}
		size := binary.LittleEndian.Uint32(file[4:])
		require.Zero(t, size%4)
		require.LessOrEqual(t, int(size), len(file))
		require.Equal(t, size, binary.LittleEndian.Uint32(file[size-4:]))
		b.body = file[8 : size-4]
		file = file[size:]
		fixed := map[uint32]int{blockSection: 16, blockInterface: 8, blockPacket: 20, blockStatistics: 12}[b.kind]
		require.NotZero(t, fixed, "block type %#x", b.kind)
		rest := b.body[fixed:]
		if b.kind == blockPacket {
			n := b.u32(12)
			b.data = rest[:n]
			rest = rest[(n+3)&^3:]
		}
		b.options = map[uint16]string{}
		for len(rest) > 0 {
			code, n := binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:])
			if code == optEnd {
				require.Len(t, rest, 4)
				break
			}
			b.options[code] = string(rest[4 : 4+n])
			rest = rest[4+(n+3)&^3:]
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func fixedClock(at *time.Duration) func() time.Duration { return func() time.Duration { return *at } }

func newWire(t *testing.T, cfg wire.Config) *wire.Wire {
	t.Helper()
	w, err := wire.New(cfg)
	require.NoError(t, err)
	return w
}

func send(t *testing.T, q nic.Queue, data string) {
	t.Helper()
	p := q.Alloc(len(data))
	copy(p.Extend(len(data)), data)
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))
}

func drain(q nic.Queue) {
	var pkts [64]*nic.Packet
	for _, p := range pkts[:q.Recv(pkts[:])] {
		p.Release()
	}
}

func TestCaptureOfBothEndsOfAWire(t *testing.T) {
	var file bytes.Buffer
	origin := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	w, err := NewWriter(&file, Config{Sync: true, Origin: origin, Application: "test"})
	require.NoError(t, err)
	at := time.Second
	cable := newWire(t, wire.Config{})
	a := Wrap(cable.Port(0), w, fixedClock(&at))
	b := Wrap(cable.Port(1), w, fixedClock(&at))
	send(t, a.Queues()[0], "hello wire")
	at += 1500
	drain(b.Queues()[0])
	require.NoError(t, a.Close())
	require.NoError(t, w.Close())
	require.ErrorIs(t, w.Close(), os.ErrClosed)

	blocks := read(t, file.Bytes())
	require.Len(t, blocks, 7)
	shb := blocks[0]
	require.EqualValues(t, blockSection, shb.kind)
	require.EqualValues(t, byteOrderMagic, shb.u32(0))
	require.EqualValues(t, 1, shb.u32(4), "version 1.0")
	require.Equal(t, "test", shb.options[shbApplication])
	for i, idb := range blocks[1:3] {
		require.EqualValues(t, blockInterface, idb.kind)
		require.EqualValues(t, linkEthernet, idb.u32(0))
		info := cable.Port(i).Info()
		require.Equal(t, info.Name, idb.options[ifName])
		require.Equal(t, info.Driver, idb.options[ifDescription])
		require.Equal(t, string(info.MAC[:]), idb.options[ifMAC])
		require.Equal(t, "\x09", idb.options[ifTsResol])
	}
	for i, epb := range blocks[3:5] {
		require.EqualValues(t, blockPacket, epb.kind)
		require.EqualValues(t, i, epb.u32(0), "the interface")
		require.Equal(t, "hello wire", string(epb.data))
		require.EqualValues(t, 10, epb.u32(16), "the original length")
	}
	start := time.Duration(origin.UnixNano()) + time.Second
	require.Equal(t, start, blocks[3].nanos(4))
	require.EqualValues(t, Outbound, blocks[3].number(epbFlags))
	require.Equal(t, start+1500, blocks[4].nanos(4))
	require.EqualValues(t, Inbound, blocks[4].number(epbFlags))
	require.NotContains(t, blocks[4].options, uint16(epbQueue))
	for i, isb := range blocks[5:] {
		require.EqualValues(t, blockStatistics, isb.kind)
		require.EqualValues(t, i, isb.u32(0))
		require.EqualValues(t, 1, isb.number(isbReceived))
		require.EqualValues(t, 0, isb.number(isbDropped))
	}
	require.Zero(t, cable.InUse())
}

func TestQueueNumbersOfAMultiQueueDevice(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Config{Sync: true})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{Queues: 2})
	dev := Wrap(cable.Port(0), w, fixedClock(&at))
	send(t, dev.Queues()[1], "x")
	blocks := read(t, file.Bytes())
	require.EqualValues(t, 1, blocks[2].number(epbQueue))
}

func TestFramesThatTheRingDidNotTakeAreNotRecorded(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Config{Sync: true})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{Ring: 128})
	q := Wrap(cable.Port(0), w, fixedClock(&at)).Queues()[0]
	var pkts []*nic.Packet
	for range 200 {
		p := q.Alloc(60)
		p.Extend(60)
		pkts = append(pkts, p)
	}
	require.Equal(t, 128, q.Send(pkts))
	require.EqualValues(t, 128, w.Stats().Written)
	require.Len(t, read(t, file.Bytes()), 2+128)
}

func TestPartialChecksumIsCompletedInTheFileOnly(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Config{Sync: true})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{Checksum: true})
	q := Wrap(cable.Port(0), w, fixedClock(&at)).Queues()[0]
	p := q.Alloc(64)
	frame := p.Extend(64)
	for i := range frame {
		frame[i] = byte(i)
	}
	copy(frame[40:], []byte{0x12, 0x34}) // the pseudo-header's sum
	before := string(frame)
	p.Checksum, p.ChecksumStart, p.ChecksumOffset = nic.ChecksumPartial, 34, 6
	want, _, ok := p.CompleteChecksum()
	require.True(t, ok)
	require.Equal(t, 1, q.Send([]*nic.Packet{p}))

	got := read(t, file.Bytes())[2].data
	require.Equal(t, want, binary.BigEndian.Uint16(got[40:]))
	var one [1]*nic.Packet
	require.Equal(t, 1, cable.Port(1).Queues()[0].Recv(one[:]))
	require.Equal(t, before, string(one[0].Bytes()))
	require.Equal(t, nic.ChecksumPartial, one[0].Checksum)
	one[0].Release()
}

func TestChainsAndSuperSegmentsAreWrittenWhole(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Config{Sync: true})
	require.NoError(t, err)
	i := w.AddInterface("a", "", nic.MAC{})
	pool, err := nic.NewPool(nic.PoolConfig{})
	require.NoError(t, err)
	p := pool.GetChain(5000)
	for part := p; part != nil; part = part.Next() {
		copy(part.Extend(1001), bytes.Repeat([]byte{7}, 1001))
	}
	p.Segment, p.SegmentSize = nic.SegmentTCPv4, 1460
	i.Record(p, Inbound, 5, "lost here")
	p.Release()
	require.Zero(t, pool.InUse())
	epb := read(t, file.Bytes())[2]
	require.Equal(t, bytes.Repeat([]byte{7}, 3003), epb.data)
	require.Equal(t, time.Duration(5), epb.nanos(4))
	require.Equal(t, "lost here", epb.options[optComment])
	for n, text := range map[int]string{0: "0", 9: "9", 1460: "1460", 65535: "65535"} {
		b := appendSuperComment(nil, n)
		require.Zero(t, len(b)%4)
		require.Equal(t, "super-segment of "+text+" bytes each", strings.TrimRight(string(b[4:]), "\x00"))
	}
}

func TestSnapLenCutsTheCopy(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Config{Sync: true, SnapLen: 6})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{})
	dev := Wrap(cable.Port(0), w, fixedClock(&at))
	send(t, dev.Queues()[0], "hello wire")
	blocks := read(t, file.Bytes())
	require.EqualValues(t, 6, blocks[1].u32(4))
	require.Equal(t, "hello ", string(blocks[2].data))
	require.EqualValues(t, 10, blocks[2].u32(16))
}

// slowDisk blocks each Write until it is let go.
type slowDisk struct {
	bytes.Buffer
	gate chan struct{}
}

func (d *slowDisk) Write(b []byte) (int, error) {
	<-d.gate
	return d.Buffer.Write(b)
}

func TestSlowDiskCostsFramesOfTheFileAndTheFileSaysSo(t *testing.T) {
	disk := &slowDisk{gate: make(chan struct{})}
	w, err := NewWriter(disk, Config{Buffer: 1000})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{})
	q := Wrap(cable.Port(0), w, fixedClock(&at)).Queues()[0]
	for range 100 { // none of them waits
		send(t, q, "0123456789")
	}
	s := w.Stats()
	require.EqualValues(t, 100, s.Written+s.Dropped)
	require.NotZero(t, s.Dropped)
	close(disk.gate)
	require.NoError(t, w.Flush())
	send(t, q, "afterwards")
	require.NoError(t, w.Close())

	blocks := read(t, disk.Bytes())
	last := blocks[len(blocks)-2]
	require.Equal(t, "afterwards", string(last.data))
	var missing uint64
	for _, b := range blocks {
		if b.kind == blockPacket {
			missing += b.number(epbDropCount)
		}
	}
	require.Equal(t, s.Dropped, missing)
	isb := blocks[len(blocks)-1]
	require.EqualValues(t, 101, isb.number(isbReceived))
	require.Equal(t, s.Dropped, isb.number(isbDropped))
	require.Contains(t, isb.options[optComment], "frames are missing")
	drain(cable.Port(1).Queues()[0])
	drain(cable.Port(1).Queues()[0])
	require.Zero(t, cable.InUse())
}

type brokenDisk struct{}

var errBroken = errors.New("no space left")

func (brokenDisk) Write([]byte) (int, error) { return 0, errBroken }

func TestBrokenDiskIsReportedAndStopsNothing(t *testing.T) {
	for _, sync := range []bool{false, true} {
		w, err := NewWriter(brokenDisk{}, Config{Sync: sync})
		require.NoError(t, err)
		var at time.Duration
		cable := newWire(t, wire.Config{})
		dev := Wrap(cable.Port(0), w, fixedClock(&at))
		require.ErrorIs(t, w.Flush(), errBroken)
		send(t, dev.Queues()[0], "x")
		require.EqualValues(t, 1, w.Stats().Dropped)
		require.ErrorIs(t, w.Close(), errBroken)
		send(t, dev.Queues()[0], "after Close")
		require.NoError(t, dev.Close())
	}
}

func TestCreateWritesAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := Create(name, Config{Origin: time.Now()})
	require.NoError(t, err)
	cable := newWire(t, wire.Config{})
	dev := Wrap(cable.Port(0), w, nil)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 50 {
				send(t, dev.Queues()[0], "concurrent")
			}
		})
	}
	senders.Wait()
	require.NoError(t, w.Close())
	file, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Len(t, read(t, file), 2+200+1)

	_, err = Create(filepath.Join(t.TempDir(), "no", "such"), Config{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = NewWriter(io.Discard, Config{SnapLen: -1})
	require.Error(t, err)
}

func TestRecordingAllocatesNothing(t *testing.T) {
	w, err := NewWriter(io.Discard, Config{Sync: true})
	require.NoError(t, err)
	var at time.Duration
	cable := newWire(t, wire.Config{})
	a := Wrap(cable.Port(0), w, fixedClock(&at)).Queues()[0]
	b := Wrap(cable.Port(1), w, fixedClock(&at)).Queues()[0]
	pkts := make([]*nic.Packet, 1)
	round := func() {
		pkts[0] = a.Alloc(1000)
		pkts[0].Extend(1000)
		a.Send(pkts)
		b.Recv(pkts)
		pkts[0].Release()
	}
	round()
	require.Zero(t, testing.AllocsPerRun(500, round))
}
