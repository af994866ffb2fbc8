package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func TestDemo(t *testing.T) {
	client, err := wired.Client()
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, demo(client, &out))
	require.Equal(t, `www.example.test. ip4 [192.0.2.80]
www.example.test. ip6 [2001:db8::80]
example.test. ["names from fastnet"]
nowhere.test. no such host
`, out.String())
}

// query is a message with one question.
func query(t *testing.T, name string, kind dnsmessage.Type, change func(*dnsmessage.Header)) []byte {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET,
	}}}
	m.ID = 7
	if change != nil {
		change(&m.Header)
	}
	b, err := m.Pack()
	require.NoError(t, err)
	return b
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		query   []byte
		code    dnsmessage.RCode
		answers int
	}{
		{"a name", query(t, "ns.example.test.", dnsmessage.TypeA, nil), dnsmessage.RCodeSuccess, 1},
		{"in capitals", query(t, "NS.Example.TEST.", dnsmessage.TypeA, nil), dnsmessage.RCodeSuccess, 1},
		{"without such a record", query(t, "ns.example.test.", dnsmessage.TypeMX, nil), dnsmessage.RCodeSuccess, 0},
		{"of nobody", query(t, "nowhere.test.", dnsmessage.TypeA, nil), dnsmessage.RCodeNameError, 0},
		{"an update", query(t, "ns.example.test.", dnsmessage.TypeA, func(h *dnsmessage.Header) { h.OpCode = 5 }), dnsmessage.RCodeNotImplemented, 0},
		{"no question", make([]byte, 12), dnsmessage.RCodeFormatError, 0},
	} {
		var m dnsmessage.Message
		require.NoError(t, m.Unpack(answer(tt.query)), tt.name)
		require.True(t, m.Response, tt.name)
		require.Equal(t, tt.code, m.RCode, tt.name)
		require.Len(t, m.Answers, tt.answers, tt.name)
	}
	require.Nil(t, answer([]byte("short")))
	require.Nil(t, answer(query(t, "ns.example.test.", dnsmessage.TypeA, func(h *dnsmessage.Header) { h.Response = true })))
}
