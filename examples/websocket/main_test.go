package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestDemo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	require.Equal(t, `(to ann) ann has joined
(to ann) bob has joined
(to bob) bob has joined
(to ann) ann: hello, bob
(to bob) ann: hello, bob
(to ann) bob: hello, ann
(to bob) bob: hello, ann
(to bob) ann has left
`, out.String())
	require.Empty(t, client.Stats().Fallbacks)
}

func TestPageAndMistakes(t *testing.T) {
	handler := newServer("").Handler
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/":              {http.StatusOK, "new WebSocket("},
		"/elsewhere":     {http.StatusNotFound, "not found"},
		"/chat":          {http.StatusBadRequest, "/chat?name=NAME"},
		"/chat?name=ann": {http.StatusUpgradeRequired, "websocket"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, want.status, w.Code, path)
		body, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		require.Contains(t, strings.ToLower(string(body)), strings.ToLower(want.body), path)
	}
}

// TestAMemberWhoDoesNotReadIsShownOut has nobody take what is in an inbox.
func TestAMemberWhoDoesNotReadIsShownOut(t *testing.T) {
	left := false
	m := &member{name: "idle", inbox: make(chan string, inboxSize), leave: func() { left = true }}
	c := &chat{members: make(map[*member]struct{})}
	c.join(m)
	for range inboxSize - 1 {
		c.tell("more")
	}
	require.False(t, left)
	c.tell("too much")
	require.True(t, left)
}
