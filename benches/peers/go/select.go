// SPDX-License-Identifier: MIT

// Selections over channels with a buffer of 1.
package main

import "time"

func channels() []chan uint64 {
	c := make([]chan uint64, 16)
	for i := range c {
		c[i] = make(chan uint64, 1)
	}
	return c
}

func select2(n int) time.Duration {
	c := channels()
	var got uint64
	start := time.Now()
	for k := uint64(0); k < uint64(n); k++ {
		c[k%2] <- k
		select {
		case got = <-c[0]:
		case got = <-c[1]:
		}
		if got != k {
			panic("select")
		}
	}
	return time.Since(start)
}

func select4(n int) time.Duration {
	c := channels()
	var got uint64
	start := time.Now()
	for k := uint64(0); k < uint64(n); k++ {
		c[k%4] <- k
		select {
		case got = <-c[0]:
		case got = <-c[1]:
		case got = <-c[2]:
		case got = <-c[3]:
		}
		if got != k {
			panic("select")
		}
	}
	return time.Since(start)
}

func select16(n int) time.Duration {
	c := channels()
	var got uint64
	start := time.Now()
	for k := uint64(0); k < uint64(n); k++ {
		c[k%16] <- k
		select {
		case got = <-c[0]:
		case got = <-c[1]:
		case got = <-c[2]:
		case got = <-c[3]:
		case got = <-c[4]:
		case got = <-c[5]:
		case got = <-c[6]:
		case got = <-c[7]:
		case got = <-c[8]:
		case got = <-c[9]:
		case got = <-c[10]:
		case got = <-c[11]:
		case got = <-c[12]:
		case got = <-c[13]:
		case got = <-c[14]:
		case got = <-c[15]:
		}
		if got != k {
			panic("select")
		}
	}
	return time.Since(start)
}

func selectPingPong(n int) time.Duration {
	ask, answer := make(chan uint64, 1), make(chan uint64, 1)
	stop := make(chan struct{})
	take := func(from chan uint64) uint64 {
		select {
		case item := <-from:
			return item
		case <-stop:
			panic("stop")
		}
	}
	done := make(chan struct{})
	go func() {
		for i := 0; i < n; i++ {
			answer <- take(ask)
		}
		done <- struct{}{}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ask <- uint64(i)
		take(answer)
	}
	elapsed := time.Since(start)
	<-done
	return elapsed
}

func init() {
	peers["select_2"] = peer{1000000, false, select2}
	peers["select_4"] = peer{1000000, false, select4}
	peers["select_16"] = peer{500000, false, select16}
	peers["select_pingpong"] = peer{500000, false, selectPingPong}
}
