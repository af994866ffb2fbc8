package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/fastnet-go/fastnet/examples/internal/wired"
)

func main() {
	log.SetFlags(0)
	address := flag.String("listen", "", "listen on this `address` of the kernel's until Ctrl-C, instead of making one request")
	flag.Parse()
	if err := run(*address, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run makes one request through the chain, and if address is not empty waits for
// those of others.
func run(address string, out io.Writer) error {
	client, err := wired.Client()
	if err != nil {
		return err
	}
	listen := address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	c, url, err := start(client, listen)
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	if address != "" {
		fmt.Fprintln(out, "Open", url)
		interrupt := make(chan os.Signal, 1)
		signal.Notify(interrupt, os.Interrupt)
		<-interrupt
	}
	return nil
}
