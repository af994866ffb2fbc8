# The commands of this repository. GNU make and Go are all that they need;
# "make test" skips what the machine cannot run, and says so.

GO ?= go

# make run
PORT ?= 8080
NIC ?= wire
ARGS ?=

# make fuzz
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help run test fuzz bench bench-veth compat defects soak generate build clean

## help: what there is (make alone does the same)
help:
	@echo 'usage: make COMMAND [VARIABLE=VALUE ...]'
	@echo
	@sed -n 's/^## \([a-z-]*\): /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-12s%s\n", $$1, $$2 }'
	@echo
	@echo 'examples:'
	@echo '  make run PORT=9000                        another port'
	@echo '  make run ARGS="-drop-chance 0.02"         lose 2% of the frames, and watch TCP repair it'
	@echo '  sudo make run NIC=tap                     a TAP device: curl http://10.77.0.2:8080/'
	@echo '  make fuzz FUZZTIME=1m'
	@echo '  make bench ARGS="-rounds 3 -workloads http64"'

## run: start examples/httpserver: PORT=8080, NIC=wire or tap, ARGS="-pcap FILE -drop-chance P"
run:
	@$(GO) build -o bin/httpserver ./examples/httpserver
	@exec bin/httpserver -port $(PORT) -nic $(NIC) $(ARGS)

## test: run every check and test that this machine can run
test:
	@$(GO) run ./internal/testrun $(ARGS)

## fuzz: run each fuzz target for FUZZTIME=10s
fuzz:
	@$(GO) run ./internal/testrun -fuzz $(FUZZTIME)

## bench: compare with the kernel and with netstack on this machine: ARGS="-rounds 3"
bench:
	@cd compat_test && $(GO) run ./bench $(ARGS)

## compat: run Go's own tests and third parties' with fastnet in the place of package net: ARGS="-packages net/rpc"
compat:
	@cd compat_test && $(GO) run ./compat $(ARGS)

## defects: plant each of the known defects, and see that a test fails: ARGS="-only NAMES"
defects:
	@$(GO) run ./internal/defect/plant $(ARGS)

## bench-veth: as root, a live interface: AF_XDP against the kernel, clients in another namespace
bench-veth:
	@cd compat_test && $(GO) run ./benchveth $(ARGS)

## soak: as root, the long runs of a live interface and of the simulation, half an hour: ARGS="-run Mixed"
soak:
	@status=0; \
	(cd compat_test && FASTNET_SOAK=1 exec $(GO) test -v -count=1 -timeout 60m $(ARGS) ./xdp) || status=1; \
	$(GO) test -v -count=1 -timeout 60m ./stack/sim -args -seeds 60000 || status=1; \
	exit $$status

## generate: compile the eBPF program anew (needs clang); what it writes is committed
generate:
	$(GO) generate ./nic/afxdp

## build: compile everything, for this machine
build:
	$(GO) build ./...

## clean: remove what make run has built
clean:
	rm -rf bin
