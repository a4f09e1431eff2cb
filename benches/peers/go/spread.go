// SPDX-License-Identifier: MIT

// Bursts of short work, one long computation, and a crowd that is woken one by one.
package main

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const burst = 1000

var chainStart uint64 = 1
var chainEnd uint64

// 1000 dependent multiplications: about a microsecond at 4 GHz.
func chain(rounds int) {
	x := atomic.LoadUint64(&chainStart)
	for i := 0; i < rounds; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	if x == 0 {
		atomic.StoreUint64(&chainEnd, x)
	}
}

func storm(n int) time.Duration {
	start := time.Now()
	for done := 0; done < n; done += burst {
		var wg sync.WaitGroup
		wg.Add(burst)
		for i := 0; i < burst; i++ {
			go func() {
				chain(1000)
				wg.Done()
			}()
		}
		wg.Wait()
	}
	return time.Since(start)
}

const followers = 100

func raise(most *int64, value int64) {
	for {
		seen := atomic.LoadInt64(most)
		if value <= seen || atomic.CompareAndSwapInt64(most, seen, value) {
			return
		}
	}
}

// What a computation of half a second holds up: queued goroutines, sleepers, one reader.
func hog(int) time.Duration {
	var wg sync.WaitGroup
	var taskLate, timerLate, ioLate, asleep int64
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	writer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	reader, err := listener.Accept()
	if err != nil {
		panic(err)
	}
	var sentAt atomic.Value
	wg.Add(followers + 1)
	for i := 0; i < followers; i++ {
		delay := time.Duration(50+4*i) * time.Millisecond
		go func() {
			atomic.AddInt64(&asleep, 1)
			start := time.Now()
			time.Sleep(delay)
			raise(&timerLate, int64(time.Since(start)-delay))
			wg.Done()
		}()
	}
	go func() {
		var one [1]byte
		atomic.AddInt64(&asleep, 1)
		reader.Read(one[:])
		ioLate = int64(time.Since(sentAt.Load().(time.Time)))
		wg.Done()
	}()
	for atomic.LoadInt64(&asleep) <= followers {
		time.Sleep(time.Millisecond)
	}
	go func() {
		time.Sleep(100 * time.Millisecond)
		sentAt.Store(time.Now())
		writer.Write([]byte{0})
	}()
	wg.Add(followers)
	start := time.Now()
	for i := 0; i < followers; i++ {
		go func() {
			raise(&taskLate, int64(time.Since(start)))
			wg.Done()
		}()
	}
	for time.Since(start) < 500*time.Millisecond {
		chain(10000)
	}
	wg.Wait()
	fmt.Printf("hog.task_late %f\nhog.timer_late %f\nhog.io_late %f\n",
		float64(taskLate)/1000, float64(timerLate)/1000, float64(ioLate)/1000)
	return 0
}

func wakeCrowd(n int) time.Duration {
	var wg sync.WaitGroup
	var parked int64
	turns := make([]chan struct{}, n)
	wg.Add(n)
	for i := range turns {
		turn := make(chan struct{})
		turns[i] = turn
		go func() {
			atomic.AddInt64(&parked, 1)
			<-turn
			wg.Done()
		}()
	}
	for atomic.LoadInt64(&parked) < int64(n) {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	for _, turn := range turns {
		close(turn)
	}
	wg.Wait()
	return time.Since(start)
}

func init() {
	peers["storm"] = peer{100000, false, storm}
	peers["hog"] = peer{1, true, hog}
	peers["wake_crowd"] = peer{100000, true, wakeCrowd}
}
