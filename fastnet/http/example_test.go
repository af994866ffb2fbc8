package http_test

import (
	"fmt"
	"io"
	"log"
	nethttp "net/http"
	"time"

	"github.com/fastnet-go/fastnet/fastnet"
	"github.com/fastnet-go/fastnet/fastnet/http"
)

// A program that never calls Listen itself. The default network of these examples
// is a host without a device, which reaches itself; others are configured by the
// environment variable FASTNET.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: mux}
	defer server.Close()
	go server.ListenAndServe()
	waitFor(server.Addr)

	resp, err := http.Get("http://127.0.0.1:8080/hello/gopher")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status)
	fmt.Println(string(text))
	// Output:
	// 200 OK
	// Hello, gopher!
}

// A Client without a Transport uses net/http's DefaultTransport. One assignment
// makes that this package's, for the libraries in the program too.
func Example_everyClient() {
	defer func(old nethttp.RoundTripper) { nethttp.DefaultTransport = old }(nethttp.DefaultTransport)
	nethttp.DefaultTransport = http.DefaultTransport

	l, err := fastnet.Listen("tcp", "127.0.0.1:8081")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())

	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Get("http://127.0.0.1:8081/")
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}

// waitFor waits until somebody listens on address.
func waitFor(address string) {
	for {
		c, err := fastnet.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(time.Millisecond)
	}
}
