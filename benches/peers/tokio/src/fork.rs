// SPDX-License-Identifier: MIT

// Fork and join: a spawned task for each child. What is reported is the time of an
// operation; published sizes would take minutes, so sizes are cut.
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

type Answer = Pin<Box<dyn Future<Output = u64> + Send>>;

fn fib_task(n: u64) -> Answer {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let left = tokio::spawn(fib_task(n - 1));
        let right = fib_task(n - 2).await;
        left.await.unwrap() + right
    })
}

fn fib_by_adding(n: u64) -> u64 {
    (0..n).fold((0, 1), |(here, next), _| (next, here + next)).0
}

fn print(name: &str, elapsed: Duration, operations: u64) -> Option<Duration> {
    println!("{} {}", name, elapsed.as_nanos() as f64 / operations as f64);
    Some(Duration::ZERO)
}

pub async fn fib(n: usize) -> Option<Duration> {
    let n = n.min(30) as u64;
    fib_task(20).await;
    let start = Instant::now();
    assert_eq!(fib_task(n).await, fib_by_adding(n));
    print("fib", start.elapsed(), fib_by_adding(n + 1) - 1)
}

fn skynet_task(first: u64, count: u64) -> Answer {
    Box::pin(async move {
        if count == 1 {
            return first;
        }
        let each = count / 10;
        let children: Vec<_> =
            (0..10).map(|i| tokio::spawn(skynet_task(first + i * each, each))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

pub async fn skynet(n: usize) -> Option<Duration> {
    let n = n.min(1000000) as u64;
    skynet_task(0, 10000).await;
    let start = Instant::now();
    assert_eq!(skynet_task(0, n).await, n * (n - 1) / 2);
    print("skynet", start.elapsed(), n)
}

#[derive(Clone, Copy)]
struct Board {
    size: usize,
    placed: usize,
    columns: [i8; 16],
}

impl Board {
    fn is_free(&self, column: usize) -> bool {
        self.columns[..self.placed].iter().enumerate().all(|(row, &other)| {
            let apart = (self.placed - row) as i8;
            let column = column as i8;
            other != column && other != column - apart && other != column + apart
        })
    }

    fn with(mut self, column: usize) -> Board {
        self.columns[self.placed] = column as i8;
        self.placed += 1;
        self
    }
}

fn queens_task(board: Board) -> Answer {
    Box::pin(async move {
        if board.placed == board.size {
            return 1;
        }
        let children: Vec<_> = (0..board.size)
            .filter(|&column| board.is_free(column))
            .map(|column| tokio::spawn(queens_task(board.with(column))))
            .collect();
        let mut ways = 0;
        for child in children {
            ways += child.await.unwrap();
        }
        ways
    })
}

pub async fn nqueens(n: usize) -> Option<Duration> {
    // How many queens are placed in all boards of a search.
    const PLACEMENTS: [u64; 13] =
        [1, 1, 2, 5, 16, 53, 152, 551, 2056, 8393, 35538, 166925, 856188];
    let empty = |size| Board { size, placed: 0, columns: [0; 16] };
    let n = n.min(12);
    assert_eq!(queens_task(empty(8)).await, 92);
    let start = Instant::now();
    queens_task(empty(n)).await;
    print("nqueens", start.elapsed(), PLACEMENTS[n])
}
