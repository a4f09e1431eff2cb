// SPDX-License-Identifier: MIT

// Goroutines that do next to nothing between two meetings.
package main

import (
	"sync"
	"time"
)

const (
	readers = 20
	parties = 8
	outputs = 60
	workers = 16
	stages  = 5
	keys    = 4096
)

func together(count int, body func(int)) time.Duration {
	var wg sync.WaitGroup
	wg.Add(count)
	start := time.Now()
	for i := 0; i < count; i++ {
		go func(i int) {
			body(i)
			wg.Done()
		}(i)
	}
	wg.Wait()
	return time.Since(start)
}

var tableSum [readers]struct {
	value uint64
	_     [56]byte
}

func meetTable(n int) time.Duration {
	var lock sync.RWMutex
	var values [keys]uint64
	return together(readers, func(number int) {
		random := uint64(12345 + number*1000)
		for i := 0; i < n/readers; i++ {
			random = random*6364136223846793005 + 1442695040888963407
			value := &values[(random>>40)%keys]
			if (random>>20)%20 == 0 {
				lock.Lock()
				*value += random
				lock.Unlock()
			} else {
				lock.RLock()
				tableSum[number].value += *value
				lock.RUnlock()
			}
		}
	})
}

// As a program would make one: the library has none.
type barrier struct {
	lock    sync.Mutex
	turned  *sync.Cond
	waiting int
	round   int
}

func (b *barrier) wait() {
	b.lock.Lock()
	round := b.round
	b.waiting++
	if b.waiting == parties {
		b.waiting = 0
		b.round++
		b.turned.Broadcast()
	}
	for b.round == round {
		b.turned.Wait()
	}
	b.lock.Unlock()
}

func meetBarrier(n int) time.Duration {
	b := &barrier{}
	b.turned = sync.NewCond(&b.lock)
	return together(parties, func(int) {
		for i := 0; i < n; i++ {
			b.wait()
		}
	})
}

func meetFanOut(n int) time.Duration {
	var items [outputs]chan uint64
	for i := range items {
		items[i] = make(chan uint64, 64)
	}
	return together(outputs+1, func(number int) {
		if number < outputs {
			for range items[number] {
			}
			return
		}
		for i := 0; i < n/outputs; i++ {
			for _, to := range items {
				to <- uint64(i)
			}
		}
		for _, to := range items {
			close(to)
		}
	})
}

func dispatch(n int, to chan uint64) {
	for i := 0; i < n; i++ {
		to <- uint64(i)
	}
	close(to)
}

func meetPool(n int) time.Duration {
	jobs, results := make(chan uint64), make(chan uint64)
	return together(workers+2, func(number int) {
		switch number {
		case workers:
			dispatch(n, jobs)
		case workers + 1:
			for i := 0; i < n; i++ {
				<-results
			}
		default:
			for job := range jobs {
				results <- job
			}
		}
	})
}

func meetChain(n int) time.Duration {
	var wg sync.WaitGroup
	wg.Add(1)
	var next func(left int)
	next = func(left int) {
		if left > 1 {
			wg.Add(1)
			go next(left - 1)
		}
		wg.Done()
	}
	start := time.Now()
	go next(n)
	wg.Wait()
	return time.Since(start)
}

func meetPipeline(n int) time.Duration {
	var items [stages + 1]chan uint64
	for i := range items {
		items[i] = make(chan uint64, 16)
	}
	return together(stages+2, func(number int) {
		switch number {
		case stages:
			dispatch(n, items[0])
		case stages + 1:
			for range items[stages] {
			}
		default:
			for item := range items[number] {
				chain(300)
				items[number+1] <- item
			}
			close(items[number+1])
		}
	})
}

func init() {
	peers["meet_table"] = peer{1000000, false, meetTable}
	peers["meet_barrier"] = peer{20000, false, meetBarrier}
	peers["meet_fan_out"] = peer{600000, false, meetFanOut}
	peers["meet_pool"] = peer{100000, false, meetPool}
	peers["meet_chain"] = peer{200000, false, meetChain}
	peers["meet_pipeline"] = peer{40000, false, meetPipeline}
}
