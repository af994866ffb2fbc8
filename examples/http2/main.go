package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
	"github.com/fastnet-go/fastnet/fastnet"
)

func main() { wired.Main(serve, demo) }

// serve serves on address until the listener fails.
func serve(address string) error { return newServer(address).ListenAndServe() }

const url = "http://" + wired.ServerIP

// demo makes some requests, all on one connection.
func demo(client *fastnet.Network, out io.Writer) error {
	l, err := fastnet.Listen("tcp", wired.ServerIP+":80")
	if err != nil {
		return err
	}
	server := newServer("")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	defer func() { server.Close(); <-ended }()

	transport := &http.Transport{DialContext: client.DialContext, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport}
	return errors.Join(proto(web, out), many(web, out), talk(web, out))
}

// proto asks for the protocol's version.
func proto(web *http.Client, out io.Writer) error {
	body, err := get(web, url+"/proto")
	fmt.Fprintln(out, "protocol:", body)
	return err
}

// many has all streams open at once.
func many(web *http.Client, out io.Writer) error {
	var all sync.WaitGroup
	from, errs := make([]string, streams), make([]error, streams)
	for i := range streams {
		all.Go(func() { from[i], errs[i] = get(web, url+"/together") })
	}
	all.Wait()
	connections := make(map[string]bool)
	for _, address := range from {
		connections[address] = true
	}
	fmt.Fprintf(out, "%d requests at once, on %d connection\n", streams, len(connections))
	return errors.Join(errs...)
}

// talk sends a line of a request's body only when the one before is answered.
func talk(web *http.Client, out io.Writer) error {
	body, lines := io.Pipe()
	defer lines.Close()
	resp, err := web.Post(url+"/upper", "text/plain", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	for _, line := range []string{"a line", "and another"} {
		fmt.Fprintln(lines, line)
		if !answers.Scan() {
			return fmt.Errorf("no answer to %q: %w", line, answers.Err())
		}
		fmt.Fprintf(out, "%s -> %s\n", line, answers.Text())
	}
	return nil
}

func get(web *http.Client, url string) (string, error) {
	resp, err := web.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
