module github.com/fastnet-go/fastnet/examples/websocket

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/fastnet-go/fastnet v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/BurntSushi/toml v1.6.0 // indirect
	github.com/cilium/ebpf v0.22.0 // indirect
	github.com/vishvananda/netlink v1.3.1 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/fastnet-go/fastnet => ../..
