package surface

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatDiffersIsNamed(t *testing.T) {
	list, err := Compare("github.com/fastnet-go/fastnet/internal/surface/testdata/theirs", "github.com/fastnet-go/fastnet/internal/surface/testdata/ours")
	require.NoError(t, err)
	require.Equal(t, []Difference{
		{"Field", "with a field B string, and not int"},
		{"Func", "func(string), and not func(int)"},
		{"Kind", "a variable, and not a function"},
		{"Lost", "missing"},
		{"Lost2", "missing"},
		{"Method", "without the method N"},
		{"Mimic", Same},
		{"Number", "2, and not 1"},
	}, list)
}

func TestAPackageIsTheSameAsItself(t *testing.T) {
	list, err := Compare("net/http", "net/http")
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAPackageThatIsNotThereIsAnError(t *testing.T) {
	_, err := Compare("net/http", "no/such/package")
	require.ErrorContains(t, err, "no/such/package")
}
