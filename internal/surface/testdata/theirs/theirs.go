// Package theirs is the original.
package theirs

const (
	Number = 1
	Equal  = 2
	hidden = 3
)

var Lost = hidden

type (
	Lost2  struct{}
	Alias  struct{ A int }
	Field  struct{ A, B int }
	Method struct{}
	Mimic  struct{ A int }
)

func (*Method) M() {}
func (*Method) N() {}

func (Mimic) M() {}

func Func(int) {}
func Kind()    {}
func Like(int) {}
