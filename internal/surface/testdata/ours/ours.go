// Package ours stands in for theirs.
package ours

import "github.com/fastnet-go/fastnet/internal/surface/testdata/theirs"

const (
	Number = 2
	Equal  = 2
)

type (
	Alias = theirs.Alias
	Field struct {
		A int
		B string
	}
	Method struct{}
	Mimic  theirs.Mimic
)

func (*Method) M() {}

func (*Mimic) M() {}

var Kind = func() {}

func Func(string) {}
func Like(int)    {}
