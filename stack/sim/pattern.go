package sim

import (
	"bytes"
	"math/rand/v2"
)

// pattern is the content of a stream: endless, known at each offset, another
// one for each key.
type pattern struct{ at int }

// block is what patterns are cut from, at offsets that their keys choose. Its
// length is a prime, so that no segment size divides it.
var block = makeBlock(65521)

func makeBlock(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return append(b, b...)
}

func newPattern(key uint64) pattern { return pattern{int(key * 40503 % uint64(len(block)/2))} }

// slice returns up to n bytes of the pattern from off on.
func (p pattern) slice(off, n int) []byte {
	i := (p.at + off) % (len(block) / 2)
	return block[i : i+min(n, len(block)/2)]
}

// match reports whether b is the pattern from off on, or else where it first
// differs.
func (p pattern) match(off int, b []byte) (int, bool) {
	for done := 0; done < len(b); {
		want := p.slice(off+done, len(b)-done)
		got := b[done : done+len(want)]
		if !bytes.Equal(got, want) {
			for i := range got {
				if got[i] != want[i] {
					return off + done + i, false
				}
			}
		}
		done += len(want)
	}
	return 0, true
}
