package http_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/internal/surface"
)

// TestSurfaceIsThatOfNetHTTP compares every exported name with the net/http that
// is installed. Server alone is a type of our own, for its methods listen.
func TestSurfaceIsThatOfNetHTTP(t *testing.T) {
	list, err := surface.Compare("net/http", "github.com/fastnet-go/fastnet/fastnet/http")
	require.NoError(t, err)
	require.Equal(t, []surface.Difference{{Name: "Server", What: surface.Same}}, list)
}
