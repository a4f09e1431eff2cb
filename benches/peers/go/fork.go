// SPDX-License-Identifier: MIT

// Fork and join: a goroutine for each child, a channel for its answer.
package main

import (
	"fmt"
	"time"
)

func fib(n int) int {
	if n < 2 {
		return n
	}
	left := make(chan int, 1)
	go func() { left <- fib(n - 1) }()
	right := fib(n - 2)
	return <-left + right
}

func spawnsOfFib(n int) int {
	here, next := 0, 1
	for i := 0; i <= n; i++ {
		here, next = next, here+next
	}
	return here - 1
}

func skynet(out chan<- int, first, count int) {
	if count == 1 {
		out <- first
		return
	}
	sums := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go skynet(sums, first+i*count/10, count/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	out <- sum
}

type board struct {
	size, placed int
	columns      [16]int8
}

func (b *board) isFree(column int) bool {
	for row := 0; row < b.placed; row++ {
		other, apart := int(b.columns[row]), b.placed-row
		if other == column || other == column-apart || other == column+apart {
			return false
		}
	}
	return true
}

func queens(b board, out chan<- int) {
	if b.placed == b.size {
		out <- 1
		return
	}
	ways, count := make(chan int, b.size), 0
	for column := 0; column < b.size; column++ {
		if b.isFree(column) {
			child := b
			child.columns[child.placed] = int8(column)
			child.placed++
			count++
			go queens(child, ways)
		}
	}
	sum := 0
	for ; count > 0; count-- {
		sum += <-ways
	}
	out <- sum
}

// How many queens are placed in all boards of a search.
var placements = []int{0, 1, 2, 5, 16, 53, 152, 551, 2056, 8393, 35538, 166925, 856188}

// What is reported is the time of an operation; published sizes would take minutes.
func atMost(n, most int) int {
	if n > most {
		return most
	}
	return n
}

func timed(run func()) time.Duration {
	start := time.Now()
	run()
	return time.Since(start)
}

func each(elapsed time.Duration, operations int) float64 {
	return float64(elapsed) / float64(operations)
}

func init() {
	peers["fib"] = peer{30, true, func(n int) time.Duration {
		n = atMost(n, 30)
		fib(20)
		fmt.Printf("fib %f\n", each(timed(func() { fib(n) }), spawnsOfFib(n)))
		return 0
	}}
	peers["skynet"] = peer{1000000, true, func(n int) time.Duration {
		n = atMost(n, 1000000)
		out := make(chan int, 1)
		skynet(out, 0, 10000)
		<-out
		fmt.Printf("skynet %f\n", each(timed(func() { skynet(out, 0, n) }), n))
		return 0
	}}
	peers["nqueens"] = peer{10, true, func(n int) time.Duration {
		n = atMost(n, 12)
		out := make(chan int, 1)
		queens(board{size: 8}, out)
		<-out
		fmt.Printf("nqueens %f\n", each(timed(func() { queens(board{size: n}, out) }), placements[n]))
		return 0
	}}
}
