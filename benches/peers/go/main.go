// SPDX-License-Identifier: MIT

// The Go peer: peer_go CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see ../../README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const batch = 10000

func spawnAwait(n int) time.Duration {
	done := make(chan struct{})
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() { done <- struct{}{} }()
		<-done
	}
	return time.Since(start)
}

func spawnMany(n int) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	for done := 0; done < n; done += batch {
		wg.Add(batch)
		for i := 0; i < batch; i++ {
			go func() { wg.Done() }()
		}
		wg.Wait()
	}
	return time.Since(start)
}

func yieldTimes(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

func yieldTwo(n int) time.Duration {
	done := make(chan struct{})
	go func() { yieldTimes(n / 2); done <- struct{}{} }()
	start := time.Now()
	yieldTimes(n / 2)
	<-done
	return time.Since(start)
}

func yieldLone(n int) time.Duration {
	start := time.Now()
	yieldTimes(n)
	return time.Since(start)
}

// With lock each of the two has a thread of its own, as pinned fibers have a worker.
func pingPong(n int, lock bool) time.Duration {
	ask, answer := make(chan struct{}), make(chan struct{})
	if lock {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for range ask {
			answer <- struct{}{}
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ask <- struct{}{}
		<-answer
	}
	elapsed := time.Since(start)
	close(ask)
	return elapsed
}

func timerArmCancel(n int) time.Duration {
	start := time.Now()
	for i := 0; i < n; i++ {
		time.NewTimer(30 * time.Second).Stop()
	}
	return time.Since(start)
}

var crowd []*time.Timer

func timerCrowd(n int) time.Duration {
	for i := len(crowd); i < 1000000; i++ {
		delay := time.Hour + time.Duration(i/200*7)*time.Millisecond + time.Duration(i%200*13)*time.Second
		crowd = append(crowd, time.NewTimer(delay))
	}
	return timerArmCancel(n)
}

func processorTime() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func lateness(n int) {
	late := make([]float64, n)
	early := 0
	before := processorTime()
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		delay := time.Duration(1000+int64(i)*7919%10007*999000/10007) * time.Microsecond
		go func(i int) {
			start := time.Now()
			time.Sleep(delay)
			late[i] = float64(time.Since(start)-delay) / 1000
			wg.Done()
		}(i)
	}
	wg.Wait()
	fmt.Printf("lateness.cpu %f\n", float64(processorTime()-before)/1000/float64(n))
	sort.Float64s(late)
	for early < n && late[early] < 0 {
		early++
	}
	fmt.Printf("lateness.p50 %f\nlateness.p99 %f\nlateness.max %f\nlateness.early %d\n",
		late[n/2], late[n*99/100], late[n-1], early)
}

func cancelReap(n int) time.Duration {
	cancels := make([]context.CancelFunc, n)
	var wg sync.WaitGroup
	var asleep int64
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		cancels[i] = cancel
		wg.Add(1)
		go func() {
			defer wg.Done()
			timer := time.NewTimer(time.Hour)
			defer timer.Stop()
			atomic.AddInt64(&asleep, 1)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}()
	}
	for atomic.LoadInt64(&asleep) < int64(n) {
		runtime.Gosched()
	}
	start := time.Now()
	for _, cancel := range cancels {
		cancel()
	}
	wg.Wait()
	return time.Since(start)
}

// A context with a limit around a receive that need not wait.
func timeoutReady(n int) time.Duration {
	ready := make(chan int)
	close(ready)
	start := time.Now()
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		select {
		case <-ready:
		case <-ctx.Done():
			panic("too late")
		}
		cancel()
	}
	return time.Since(start)
}

// The same around a receive that parks: another goroutine answers.
func timeoutPark(n int) time.Duration {
	turns := make(chan struct{})
	go func() {
		for i := 0; i < n; i++ {
			turns <- struct{}{}
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		select {
		case <-turns:
		case <-ctx.Done():
			panic("too late")
		}
		cancel()
	}
	return time.Since(start)
}

var shielded context.Context

func shield(n int) time.Duration {
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()
	start := time.Now()
	for i := 0; i < n; i++ {
		shielded = context.WithoutCancel(parent)
	}
	return time.Since(start)
}

const children = 100

func gather(n int) time.Duration {
	results := make([]int, children)
	start := time.Now()
	for done := 0; done < n; done += children {
		var wg sync.WaitGroup
		wg.Add(children)
		for i := 0; i < children; i++ {
			go func(i int) {
				results[i] = i
				wg.Done()
			}(i)
		}
		wg.Wait()
	}
	return time.Since(start)
}

// What errgroup does: the first error is kept and cancels the context of the others.
type group struct {
	wg     sync.WaitGroup
	once   sync.Once
	err    error
	cancel context.CancelFunc
}

func openGroup() (*group, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	return &group{cancel: cancel}, ctx
}

func (g *group) spawn(f func() error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := f(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func (g *group) close() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}

func groups(n int) time.Duration {
	start := time.Now()
	for done := 0; done < n; done += children {
		g, _ := openGroup()
		for i := 0; i < children; i++ {
			g.spawn(func() error { return nil })
		}
		if g.close() != nil {
			panic("group")
		}
	}
	return time.Since(start)
}

func groupCancel(n int) time.Duration {
	start := time.Now()
	for done := 0; done < n; done += children {
		var asleep int64
		g, ctx := openGroup()
		for i := 0; i < children; i++ {
			g.spawn(func() error {
				timer := time.NewTimer(time.Hour)
				defer timer.Stop()
				atomic.AddInt64(&asleep, 1)
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-timer.C:
					return nil
				}
			})
		}
		for atomic.LoadInt64(&asleep) < children {
			runtime.Gosched()
		}
		g.cancel()
		if g.close() == nil {
			panic("group")
		}
	}
	return time.Since(start)
}

const lockers = 4

func mutexFree(n int) time.Duration {
	var mu sync.Mutex
	start := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		mu.Unlock()
	}
	return time.Since(start)
}

// Several goroutines lock in turn; whoever holds gives way to the others meanwhile.
func mutexShared(n int, isHeld bool) time.Duration {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	wg.Add(lockers)
	start := time.Now()
	for i := 0; i < lockers; i++ {
		go func() {
			for done := 0; done < n/lockers; done++ {
				mu.Lock()
				counter++
				if isHeld {
					runtime.Gosched()
				}
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return time.Since(start)
}

// A channel with room is what Go programs count permits with.
func semFree(n int) time.Duration {
	permits := make(chan struct{}, 2)
	start := time.Now()
	for i := 0; i < n; i++ {
		permits <- struct{}{}
		<-permits
	}
	return time.Since(start)
}

func semHeld(n int) time.Duration {
	permits := make(chan struct{}, 2)
	var wg sync.WaitGroup
	wg.Add(lockers)
	start := time.Now()
	for i := 0; i < lockers; i++ {
		go func() {
			for done := 0; done < n/lockers; done++ {
				permits <- struct{}{}
				runtime.Gosched()
				<-permits
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return time.Since(start)
}

// A closed channel is Go's event.
func eventSet(n int) time.Duration {
	set := make(chan struct{})
	close(set)
	start := time.Now()
	for i := 0; i < n; i++ {
		<-set
	}
	return time.Since(start)
}

func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kib * 1024
		}
	}
	return 0
}

func parked(n int) {
	goAhead := make(chan struct{})
	var wg sync.WaitGroup
	var ready int64
	before, start := resident(), time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() { atomic.AddInt64(&ready, 1); <-goAhead; wg.Done() }()
	}
	for atomic.LoadInt64(&ready) < int64(n) {
		runtime.Gosched()
	}
	fmt.Printf("parked.start %f\n", float64(time.Since(start))/float64(n))
	peak := resident()
	fmt.Printf("parked.each %f\n", (peak-before)/float64(n))
	start = time.Now()
	close(goAhead)
	wg.Wait()
	fmt.Printf("parked.wake_join %f\n", float64(time.Since(start))/float64(n))
	time.Sleep(time.Second)
	fmt.Printf("parked.left_1s %f\n", 100*(resident()-before)/(peak-before))
}

type peer struct {
	operations int
	isCold     bool
	run        func(n int) time.Duration // prints its own figures if it returns 0
}

var peers = map[string]peer{
	"spawn_await":              {500000, false, spawnAwait},
	"spawn_many_cold":          {batch, true, spawnMany},
	"spawn_many_warm":          {500000, false, spawnMany},
	"spawn_detached":           {500000, false, spawnMany},
	"yield_two":                {2000000, false, yieldTwo},
	"yield_lone":               {2000000, false, yieldLone},
	"pingpong":                 {500000, false, func(n int) time.Duration { return pingPong(n, false) }},
	"pingpong_across":          {50000, false, func(n int) time.Duration { return pingPong(n, true) }},
	"timer_arm_cancel":         {1000000, false, timerArmCancel},
	"timer_arm_cancel_million": {1000000, false, timerCrowd},
	"lateness":                 {10000, true, func(n int) time.Duration { lateness(n); return 0 }},
	"cancel_reap":              {100000, false, cancelReap},
	"timeout_ready":            {1000000, false, timeoutReady},
	"timeout_park":             {500000, false, timeoutPark},
	"shield":                   {1000000, false, shield},
	"gather":                   {500000, false, gather},
	"group":                    {500000, false, groups},
	"group_cancel":             {100000, false, groupCancel},
	"mutex_free":               {5000000, false, mutexFree},
	"mutex_shared":             {2000000, false, func(n int) time.Duration { return mutexShared(n, false) }},
	"mutex_held":               {500000, false, func(n int) time.Duration { return mutexShared(n, true) }},
	"sem_free":                 {5000000, false, semFree},
	"sem_held":                 {500000, false, semHeld},
	"event_set":                {5000000, false, eventSet},
	"parked":                   {1000000, true, func(n int) time.Duration { parked(n); return 0 }},
}

func number(at, otherwise int) int {
	if at < len(os.Args) {
		if n, err := strconv.Atoi(os.Args[at]); err == nil && n > 0 {
			return n
		}
	}
	return otherwise
}

func main() {
	if len(os.Args) < 2 {
		for name := range peers {
			fmt.Println(name, 0) // with any number of workers
		}
		return
	}
	name := os.Args[1]
	p, known := peers[name]
	if !known {
		os.Exit(77)
	}
	runtime.GOMAXPROCS(number(3, 1))
	n := number(2, p.operations)
	if !p.isCold {
		p.run(n/10 + 1)
	}
	if elapsed := p.run(n); elapsed > 0 {
		fmt.Printf("%s %f\n", name, float64(elapsed)/float64(n))
	}
}
