// SPDX-License-Identifier: MIT

// An echo server for a listening socket that was inherited: a goroutine for each connection.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 1024)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err = conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Accepted sockets have TCP_NODELAY, as all of Go's. Ends only by what goes wrong.
func echoServe(descriptor int) {
	listener, err := net.FileListener(os.NewFile(uintptr(descriptor), "listener"))
	for err == nil {
		var conn net.Conn
		if conn, err = listener.Accept(); err == nil {
			go echo(conn)
		}
	}
	fmt.Fprintln(os.Stderr, "peer_go: echo_serve:", err)
	os.Exit(1)
}

func init() {
	peers["echo_serve"] = peer{3, true, func(n int) time.Duration { echoServe(n); return 0 }}
}
