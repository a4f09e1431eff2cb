// SPDX-License-Identifier: MIT

// Channels with a buffer of 128.
package main

import (
	"sync"
	"time"
)

const capacity = 128

func queueLone(n int) time.Duration {
	items := make(chan uint64, capacity)
	start := time.Now()
	for i := 0; i < n; i++ {
		items <- uint64(i)
		<-items
	}
	return time.Since(start)
}

func queueCrowd(n, producers, consumers int) time.Duration {
	items := make(chan uint64, capacity)
	var putting, getting sync.WaitGroup
	putting.Add(producers)
	getting.Add(consumers)
	var sum [8]struct {
		value uint64
		_     [56]byte
	}
	start := time.Now()
	for c := 0; c < consumers; c++ {
		go func(c int) {
			for item := range items {
				sum[c].value += item
			}
			getting.Done()
		}(c)
	}
	for p := 0; p < producers; p++ {
		go func() {
			for i := 0; i < n/producers; i++ {
				items <- uint64(i)
			}
			putting.Done()
		}()
	}
	putting.Wait()
	close(items)
	getting.Wait()
	return time.Since(start)
}

func init() {
	peers["queue_lone"] = peer{1000000, false, queueLone}
	peers["queue_4x4"] = peer{400000, false, func(n int) time.Duration { return queueCrowd(n, 4, 4) }}
	peers["queue_4x1"] = peer{400000, false, func(n int) time.Duration { return queueCrowd(n, 4, 1) }}
}
