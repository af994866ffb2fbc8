package wire

import "github.com/fastnet-go/fastnet/nic"

// hashTable is the length of the table by which a port with Config.Hash spreads
// what it receives: as many entries as most devices have.
const hashTable = 128

// spread is the queue that a frame arrives at, by its hash.
func (p *Port) spread(f *nic.Packet) *queue {
	f.Hash, f.HashValid = p.wire.cfg.Hash(f.Bytes()), true
	return p.queues[int(f.Hash%hashTable)%len(p.queues)]
}

// joined are the queues of p to which a queue of the number given of another
// port sends, and from which it receives.
func (p *Port) joined(index int) []*queue {
	if p.wire.cfg.Hash != nil {
		return p.queues
	}
	return p.queues[index : index+1]
}
