// SPDX-License-Identifier: MIT

// Bursts of short work, one long computation, and a crowd that is woken one by one.
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

const BURST: usize = 1000;

// Keeps the value in a register, which black_box does not.
fn opaque(mut x: u64) -> u64 {
    unsafe { std::arch::asm!("/* {0} */", inout(reg) x, options(pure, nomem, nostack)) };
    x
}

// 1000 dependent multiplications: about a microsecond at 4 GHz.
fn chain(rounds: usize) {
    let mut x: u64 = 1;
    for _ in 0..rounds {
        // Opaque, so that several steps are not made one.
        x = opaque(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407));
    }
    black_box(x);
}

pub async fn storm(n: usize) -> Option<Duration> {
    let start = Instant::now();
    for _ in 0..n.div_ceil(BURST) {
        let tasks: Vec<_> = (0..BURST).map(|_| tokio::spawn(async { chain(1000) })).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    Some(start.elapsed())
}

const FOLLOWERS: u64 = 100;

fn micros(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64 / 1000.0
}

fn most(values: Vec<f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

// What a computation of half a second holds up: queued tasks, sleepers, one reader.
pub async fn hog() -> Option<Duration> {
    let asleep = Arc::new(AtomicU64::new(0));
    let mut sleepers = Vec::new();
    for i in 0..FOLLOWERS {
        let asleep = asleep.clone();
        sleepers.push(tokio::spawn(async move {
            asleep.fetch_add(1, Relaxed);
            let delay = Duration::from_millis(50 + 4 * i);
            let start = Instant::now();
            sleep(delay).await;
            micros(start) - delay.as_micros() as f64
        }));
    }
    let (mut writer, mut reader) = UnixStream::pair().unwrap();
    let reading = asleep.clone();
    let reader = tokio::spawn(async move {
        reading.fetch_add(1, Relaxed);
        reader.read_u8().await.unwrap();
        Instant::now()
    });
    while asleep.load(Relaxed) <= FOLLOWERS {
        sleep(Duration::from_millis(1)).await;
    }
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        let sent = Instant::now();
        futures_util::FutureExt::now_or_never(writer.write_u8(0)).unwrap().unwrap();
        sent
    });
    let start = Instant::now();
    let tasks: Vec<_> =
        (0..FOLLOWERS).map(|_| tokio::spawn(async move { micros(start) })).collect();
    while start.elapsed() < Duration::from_millis(500) {
        chain(10000);
    }
    let mut task_late = Vec::new();
    for task in tasks {
        task_late.push(task.await.unwrap());
    }
    let mut timer_late = Vec::new();
    for sleeper in sleepers {
        timer_late.push(sleeper.await.unwrap());
    }
    let received = reader.await.unwrap();
    let io_late = received.saturating_duration_since(writer.join().unwrap());
    println!("hog.task_late {}", most(task_late));
    println!("hog.timer_late {}", most(timer_late));
    println!("hog.io_late {}", io_late.as_nanos() as f64 / 1000.0);
    Some(Duration::ZERO)
}

pub async fn wake_crowd(n: usize) -> Option<Duration> {
    let parked = Arc::new(AtomicU64::new(0));
    let mut turns = Vec::with_capacity(n);
    let mut tasks = Vec::with_capacity(n);
    for _ in 0..n {
        let (turn, wait) = oneshot::channel::<()>();
        let parked = parked.clone();
        turns.push(turn);
        tasks.push(tokio::spawn(async move {
            parked.fetch_add(1, Relaxed);
            wait.await.unwrap();
        }));
    }
    while parked.load(Relaxed) < n as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    let start = Instant::now();
    for turn in turns {
        turn.send(()).unwrap();
    }
    for task in tasks {
        task.await.unwrap();
    }
    Some(start.elapsed())
}

// A limit around a receive that parks: another task answers.
pub async fn timeout_park(n: usize) -> Option<Duration> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
    let giver = tokio::spawn(async move {
        for _ in 0..n {
            sender.send(()).await.unwrap();
        }
    });
    let start = Instant::now();
    for _ in 0..n {
        timeout(Duration::from_secs(30), receiver.recv()).await.unwrap().unwrap();
    }
    let elapsed = start.elapsed();
    giver.await.unwrap();
    Some(elapsed)
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

// A million that wait: bytes, the time to start one, to wake and join one, what stays afterwards.
pub async fn parked(n: usize) -> Option<Duration> {
    let go_ahead = Arc::new(tokio::sync::Semaphore::new(0));
    let parked = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::with_capacity(n);
    let before = resident();
    let start = Instant::now();
    for _ in 0..n {
        let go_ahead = go_ahead.clone();
        let parked = parked.clone();
        tasks.push(tokio::spawn(async move {
            parked.fetch_add(1, Relaxed);
            go_ahead.acquire().await.unwrap().forget();
        }));
    }
    while parked.load(Relaxed) < n as u64 {
        tokio::task::yield_now().await;
    }
    println!("parked.start {}", start.elapsed().as_nanos() as f64 / n as f64);
    let peak = resident();
    println!("parked.each {}", (peak - before) / n as f64);
    let start = Instant::now();
    go_ahead.add_permits(n);
    for task in tasks {
        task.await.unwrap();
    }
    println!("parked.wake_join {}", start.elapsed().as_nanos() as f64 / n as f64);
    sleep(Duration::from_secs(1)).await;
    println!("parked.left_1s {}", 100.0 * (resident() - before) / (peak - before));
    Some(Duration::ZERO)
}
