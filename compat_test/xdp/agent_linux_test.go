package xdp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathbig "math/big"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	net "github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/nic/afxdp"
)

// moreCommands are the program's commands for real clients and for load.
var moreCommands map[string]func(p *agent, args []string) (string, error)

func init() {
	moreCommands = map[string]func(*agent, []string) (string, error){
		"web":     (*agent).web,
		"sink":    (*agent).sink,
		"names":   (*agent).names,
		"iperf":   (*agent).iperf,
		"device":  (*agent).device,
		"memory":  (*agent).memory,
		"heap":    (*agent).heap,
		"load":    (*agent).load,
		"rubbish": (*agent).rubbish,
		"wait":    (*agent).wait,
		"panic":   func(*agent, []string) (string, error) { panic("as told") },
	}
}

// web: name address [tls]: a server of HTTP/1 and 2, of pages, of data without end
// and of sums of what it is sent.
func (p *agent) web(args []string) (string, error) {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = l
	s := &http.Server{Handler: site(), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	if len(args) == 2 {
		s.Protocols.SetUnencryptedHTTP2(true)
		go s.Serve(l)
		return l.Addr().String(), nil
	}
	s.Protocols.SetHTTP2(true)
	if s.TLSConfig, err = selfSigned(); err != nil {
		return "", err
	}
	go s.ServeTLS(l, "", "")
	return l.Addr().String(), nil
}

func site() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /", page)
	m.HandleFunc("GET /data/{bytes}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("bytes"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		io.CopyBuffer(struct{ io.Writer }{w}, data(n), make([]byte, 64<<10))
	})
	m.HandleFunc("POST /sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		if _, err := io.Copy(h, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	return m
}

// data is n bytes, the same ones each time, in which no two places look alike.
func data(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), n) }

// sumOf is what /sum says of them.
func sumOf(n int64) string {
	h := sha256.New()
	io.Copy(h, data(n))
	return fmt.Sprintf("%x", h.Sum(nil))
}

func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: mathbig.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"fastnet.test"}}
	der, err := x509.CreateCertificate(cryptorand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// sink: name address: accepts and reads nothing, so that who writes comes to a stop.
func (p *agent) sink(args []string) (string, error) {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.kept = append(p.kept, c)
			p.mu.Unlock()
		}
	}()
	return l.Addr().String(), nil
}

// names: name address: a name server that knows one name (RFC 1035).
func (p *agent) names(args []string) (string, error) {
	c, err := net.ListenPacket("udp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = c
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if reply := answerQuestion(b[:n]); reply != nil {
				c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String(), nil
}

const (
	knownName    = "www.fastnet.test."
	knownAddress = "192.0.2.80"
)

func answerQuestion(b []byte) []byte {
	var parser dnsmessage.Parser
	h, err := parser.Start(b)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, Authoritative: true, RecursionDesired: h.RecursionDesired}}
	q, err := parser.Question()
	switch {
	case h.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
	case err != nil:
		reply.RCode = dnsmessage.RCodeFormatError
	case !strings.EqualFold(q.Name.String(), knownName):
		reply.Questions, reply.RCode = []dnsmessage.Question{q}, dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeTXT: // longer than a packet, so that the answer comes in fragments
		reply.Questions = []dnsmessage.Question{q}
		text := &dnsmessage.TXTResource{}
		for range 12 {
			text.TXT = append(text.TXT, strings.Repeat("x", 250))
		}
		reply.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: text}}
	case q.Type == dnsmessage.TypeA:
		reply.Questions = []dnsmessage.Question{q}
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(knownAddress).As4()},
		}}
	}
	packed, _ := reply.Pack()
	return packed
}

// iperf: name address: the server's side of iperf3's protocol, over TCP, one test
// after the other, in either direction (iperf3's src/iperf_api.h has the states).
func (p *agent) iperf(args []string) (string, error) {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return "", err
	}
	p.sockets[args[0]] = l
	go func() {
		for {
			control, err := l.Accept()
			if err != nil {
				return
			}
			if err := iperfTest(l, control); err != nil {
				fmt.Fprintln(os.Stderr, "iperf:", err)
			}
			control.Close()
		}
	}()
	return l.Addr().String(), nil
}

func iperfTest(l net.Listener, control net.Conn) error {
	const (
		testStart, testRunning, testEnd   = 1, 2, 4
		paramExchange, createStreams      = 9, 10
		exchangeResults, displayResults   = 13, 14
		cookieSize, longestMessage, block = 37, 1 << 20, 128 << 10
	)
	control.SetDeadline(time.Now().Add(2 * patience))
	state := func(s byte) { control.Write([]byte{s}) }
	receive := func(into any) error {
		var size [4]byte
		if _, err := io.ReadFull(control, size[:]); err != nil {
			return err
		}
		return json.NewDecoder(io.LimitReader(control, int64(min(binary.BigEndian.Uint32(size[:]), longestMessage)))).Decode(into)
	}
	if _, err := io.ReadFull(control, make([]byte, cookieSize)); err != nil {
		return err
	}
	state(paramExchange)
	var params struct {
		Parallel int
		Reverse  bool
	}
	if err := receive(&params); err != nil {
		return err
	}
	state(createStreams)
	streams := make([]net.Conn, max(params.Parallel, 1))
	for i := range streams {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, cookieSize)); err != nil {
			return err
		}
		streams[i] = c
	}
	state(testStart)
	state(testRunning)
	counts := make(chan int64, len(streams))
	for _, c := range streams {
		go func() {
			var n int64
			for b := make([]byte, block); ; {
				var m int
				var err error
				if params.Reverse {
					m, err = c.Write(b)
				} else {
					m, err = c.Read(b)
				}
				n += int64(m)
				if err != nil {
					counts <- n
					return
				}
			}
		}()
	}
	for s := []byte{0}; s[0] != testEnd; {
		if _, err := io.ReadFull(control, s); err != nil {
			return err
		}
	}
	// The client waits for a whole block, or the end of the stream.
	for _, c := range streams {
		c.Close()
	}
	state(exchangeResults)
	type stream struct {
		ID          int     `json:"id"`
		Bytes       int64   `json:"bytes"`
		Retransmits any     `json:"retransmits"`
		Jitter      float64 `json:"jitter"`
		Errors      int     `json:"errors"`
		Packets     int     `json:"packets"`
		Start       float64 `json:"start_time"`
		End         float64 `json:"end_time"`
	}
	var results struct {
		CPU     float64  `json:"cpu_util_total"`
		User    float64  `json:"cpu_util_user"`
		System  float64  `json:"cpu_util_system"`
		Lost    any      `json:"sender_has_retransmits"`
		Streams []stream `json:"streams"`
	}
	if err := receive(&results); err != nil {
		return err
	}
	for i := range results.Streams {
		s := &results.Streams[i]
		*s = stream{ID: s.ID, Bytes: <-counts, Retransmits: 0, End: s.End}
	}
	results.Lost = -1
	text, err := json.Marshal(results)
	if err != nil {
		return err
	}
	control.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	state(displayResults)
	_, err = io.ReadFull(control, make([]byte, 1)) // IPERF_DONE
	return err
}

// deviceState is what there is to say of a network's device.
type deviceState struct {
	Filter afxdp.FilterCounters
	InUse  int
	Attach string
}

func (p *agent) device([]string) (string, error) {
	n, err := net.Default()
	if err != nil {
		return "", err
	}
	d := n.AFXDP()
	if d == nil {
		return "", errors.New("the network has no AF_XDP device")
	}
	text, err := json.Marshal(deviceState{d.Filter().Counters(), d.InUse(), d.Report().Attach.String()})
	return string(text), err
}

// decode reads an answer that is JSON.
func decode[T any](p *program, command string) (v T) {
	p.t.Helper()
	decodeText(p.t, p.must("%s", command), &v)
	return v
}

func decodeText(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func (p *program) device() deviceState { p.t.Helper(); return decode[deviceState](p, "device") }
