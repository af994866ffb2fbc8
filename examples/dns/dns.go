// Command dns is a small authoritative name server (RFC 1035) on a packet socket,
// with a client.
package main

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	net "github.com/fastnet-go/fastnet/fastnet"
)

// record is what a name stands for.
type record struct {
	addresses []netip.Addr
	text      string
}

// zone is all that the server knows.
var zone = map[string]record{
	"example.test.":     {text: "names from fastnet"},
	"www.example.test.": {addresses: []netip.Addr{netip.MustParseAddr("192.0.2.80"), netip.MustParseAddr("2001:db8::80")}},
	"ns.example.test.":  {addresses: []netip.Addr{netip.MustParseAddr("10.77.0.2")}},
}

// timeToLive is for how long answers may be kept, in seconds.
const timeToLive = 300

// listen takes address.
func listen(address string) (net.PacketConn, error) { return net.ListenPacket("udp", address) }

// answerAll answers the questions that come in until p is closed.
func answerAll(p net.PacketConn) error {
	b := make([]byte, 65535)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return err
		}
		if reply := answer(b[:n]); reply != nil {
			p.WriteTo(reply, from)
		}
	}
}

// answer returns the reply to a message, or nil if there is to be none.
func answer(query []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil || header.Response {
		return nil // an answer to that could be answered in turn, for ever
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, Authoritative: true, RecursionDesired: header.RecursionDesired,
	}}
	question, err := parser.Question()
	switch {
	case err != nil:
		reply.RCode = dnsmessage.RCodeFormatError
	case header.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	default:
		reply.Questions = []dnsmessage.Question{question}
		reply.RCode, reply.Answers = lookup(question)
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// lookup finds the answers to a question in the zone. Names differ by no case
// (RFC 4343).
func lookup(q dnsmessage.Question) (dnsmessage.RCode, []dnsmessage.Resource) {
	found, ok := zone[strings.ToLower(q.Name.String())]
	if !ok {
		return dnsmessage.RCodeNameError, nil
	}
	var answers []dnsmessage.Resource
	add := func(body dnsmessage.ResourceBody) {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: timeToLive}
		answers = append(answers, dnsmessage.Resource{Header: header, Body: body})
	}
	for _, a := range found.addresses {
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			add(&dnsmessage.AResource{A: a.As4()})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			add(&dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	if q.Type == dnsmessage.TypeTXT && found.text != "" {
		add(&dnsmessage.TXTResource{TXT: []string{found.text}})
	}
	return dnsmessage.RCodeSuccess, answers
}
