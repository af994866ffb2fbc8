// Package link asks the kernel for its network interfaces and follows them,
// through rtnetlink, for drivers whose other end, or whose device, is one of
// them.
//
// netlink_linux.go has the questions, follow_linux.go the Follower, which keeps a
// driver's nic.Link and tells of its changes. The package vishvananda/netlink
// would do as well, but imports package net, which no driver may.
package link
