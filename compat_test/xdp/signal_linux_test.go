package xdp

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// made are the namespaces that there are. Whoever makes one holds the lock.
var made = struct {
	sync.Mutex
	names map[string]struct{}
}{names: make(map[string]struct{})}

// endInOrder has an interrupt, as by Ctrl-C in the middle of a long run, leave no
// namespace behind: the tests' own cleanup does not run then. The programs in them
// end with their standard input.
func endInOrder() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		made.Lock() // and there will be no more
		for name := range made.names {
			exec.Command("ip", "netns", "del", name).Run()
		}
		fmt.Fprintln(os.Stderr, "ended by", s)
		os.Exit(1)
	}()
}

// addNamespace makes a namespace, which deleteNamespace deletes.
func addNamespace(name string) ([]byte, error) {
	made.Lock()
	defer made.Unlock()
	out, err := exec.Command("ip", "netns", "add", name).CombinedOutput()
	if err == nil {
		made.names[name] = struct{}{}
	}
	return out, err
}

func deleteNamespace(name string) {
	exec.Command("ip", "netns", "del", name).Run()
	made.Lock()
	defer made.Unlock()
	delete(made.names, name)
}
