// SPDX-License-Identifier: MIT

// The Tokio peer: peer_tokio [current] CASE [OPERATIONS [WORKERS]] prints lines "CASE NUMBER"; see
// ../../../README.md. With `current` it is the runtime of one thread, which knows fewer cases.
mod echo;
mod fork;
mod spread;

use futures_util::future::join_all;
use std::future::{poll_fn, ready, Future};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{yield_now, JoinSet};
use tokio::time::{sleep, timeout, Sleep};

const BATCH: usize = 10000;

async fn spawn_await(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        tokio::spawn(async {}).await.unwrap();
    }
    start.elapsed()
}

async fn spawn_many(n: usize) -> Duration {
    let mut tasks = Vec::with_capacity(BATCH);
    let start = Instant::now();
    for _ in 0..n.div_ceil(BATCH) {
        for _ in 0..BATCH {
            tasks.push(tokio::spawn(async {}));
        }
        for task in tasks.drain(..) {
            task.await.unwrap();
        }
    }
    start.elapsed()
}

async fn spawn_detached(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n.div_ceil(BATCH) {
        let (done, all_done) = oneshot::channel();
        let state = Arc::new((AtomicUsize::new(BATCH), std::sync::Mutex::new(Some(done))));
        for _ in 0..BATCH {
            let state = state.clone();
            tokio::spawn(async move {
                if state.0.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) == 1 {
                    state.1.lock().unwrap().take().unwrap().send(()).unwrap();
                }
            });
        }
        all_done.await.unwrap();
    }
    start.elapsed()
}

async fn yield_times(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

async fn yield_two(n: usize) -> Duration {
    let partner = tokio::spawn(yield_times(n / 2));
    let start = Instant::now();
    yield_times(n / 2).await;
    partner.await.unwrap();
    start.elapsed()
}

async fn yield_lone(n: usize) -> Duration {
    let start = Instant::now();
    yield_times(n).await;
    start.elapsed()
}

async fn answer(mut asks: mpsc::Receiver<()>, answers: mpsc::Sender<()>) {
    while asks.recv().await.is_some() {
        answers.send(()).await.unwrap();
    }
}

async fn ask(n: usize, asks: mpsc::Sender<()>, mut answers: mpsc::Receiver<()>) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        asks.send(()).await.unwrap();
        answers.recv().await.unwrap();
    }
    start.elapsed()
}

async fn ping_pong(n: usize) -> Duration {
    let (ask_in, ask_out) = mpsc::channel(1);
    let (answer_in, answer_out) = mpsc::channel(1);
    tokio::spawn(answer(ask_out, answer_in));
    ask(n, ask_in, answer_out).await
}

// Tokio does not pin tasks to workers: two runtimes of one thread each.
async fn ping_pong_across(n: usize) -> Duration {
    let (ask_in, ask_out) = mpsc::channel(1);
    let (answer_in, answer_out) = mpsc::channel(1);
    let one_thread = || Builder::new_current_thread().build().unwrap();
    let partner = std::thread::spawn(move || one_thread().block_on(answer(ask_out, answer_in)));
    let player = std::thread::spawn(move || one_thread().block_on(ask(n, ask_in, answer_out)));
    let elapsed = player.join().unwrap();
    partner.join().unwrap();
    elapsed
}

// A timer is armed when it is first polled.
async fn arm(timer: &mut Pin<&mut Sleep>) {
    poll_fn(|cx| {
        let _ = timer.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await
}

async fn timer_arm_cancel(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        let mut timer = pin!(sleep(Duration::from_secs(30)));
        arm(&mut timer).await;
    }
    start.elapsed()
}

async fn timer_arm_cancel_million(n: usize) -> Duration {
    let mut crowd = Vec::new();
    for i in 0..1000000u64 {
        let delay = 3600000 + i / 200 * 7 + i % 200 * 13000;
        let mut timer = Box::pin(sleep(Duration::from_millis(delay)));
        arm(&mut timer.as_mut()).await;
        crowd.push(timer);
    }
    let elapsed = timer_arm_cancel(n).await;
    drop(crowd);
    elapsed
}

async fn sleep_once(i: u64) -> f64 {
    let delay = Duration::from_micros(1000 + i * 7919 % 10007 * 999000 / 10007);
    let start = Instant::now();
    sleep(delay).await;
    (start.elapsed().as_secs_f64() - delay.as_secs_f64()) * 1e6
}

// Of all threads of the process, until now.
fn processor_us() -> f64 {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        total += text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0);
    }
    total / 1000.0
}

async fn lateness(n: usize) {
    let before = processor_us();
    let tasks: Vec<_> = (0..n as u64).map(|i| tokio::spawn(sleep_once(i))).collect();
    let mut late = Vec::new();
    for task in tasks {
        late.push(task.await.unwrap());
    }
    println!("lateness.cpu {}", (processor_us() - before) / n as f64);
    late.sort_by(f64::total_cmp);
    println!("lateness.p50 {}", late[n / 2]);
    println!("lateness.p99 {}", late[n * 99 / 100]);
    println!("lateness.max {}", late[n - 1]);
    println!("lateness.early {}", late.iter().filter(|us| **us < 0.0).count());
}

async fn cancel_reap(n: usize) -> Duration {
    let asleep = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::with_capacity(n);
    for _ in 0..n {
        let asleep = asleep.clone();
        tasks.push(tokio::spawn(async move {
            asleep.fetch_add(1, Relaxed);
            sleep(Duration::from_secs(3600)).await
        }));
    }
    while asleep.load(Relaxed) < n {
        yield_now().await;
    }
    let start = Instant::now();
    tasks.iter().for_each(|task| task.abort());
    for task in tasks {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    start.elapsed()
}

async fn timeout_ready(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        timeout(Duration::from_secs(30), ready(())).await.unwrap();
    }
    start.elapsed()
}

const CHILDREN: usize = 100;

async fn gather(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n.div_ceil(CHILDREN) {
        let results = join_all((0..CHILDREN).map(|_| tokio::spawn(async {}))).await;
        assert!(results.iter().all(|result| result.is_ok()));
    }
    start.elapsed()
}

async fn group(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n.div_ceil(CHILDREN) {
        let mut group = JoinSet::new();
        for _ in 0..CHILDREN {
            group.spawn(async {});
        }
        while let Some(result) = group.join_next().await {
            result.unwrap();
        }
    }
    start.elapsed()
}

async fn group_cancel(n: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..n.div_ceil(CHILDREN) {
        let asleep = Arc::new(AtomicUsize::new(0));
        let mut group = JoinSet::new();
        for _ in 0..CHILDREN {
            let asleep = asleep.clone();
            group.spawn(async move {
                asleep.fetch_add(1, Relaxed);
                sleep(Duration::from_secs(3600)).await
            });
        }
        while asleep.load(Relaxed) < CHILDREN {
            yield_now().await;
        }
        group.shutdown().await;
    }
    start.elapsed()
}

async fn queue_lone(n: usize) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<u64>(128);
    let start = Instant::now();
    for i in 0..n {
        sender.send(i as u64).await.unwrap();
        receiver.recv().await.unwrap();
    }
    start.elapsed()
}

async fn queue_4x1(n: usize) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<u64>(128);
    let start = Instant::now();
    for _ in 0..4 {
        let sender = sender.clone();
        tokio::spawn(async move {
            for i in 0..n / 4 {
                sender.send(i as u64).await.unwrap();
            }
        });
    }
    drop(sender);
    let consumer = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(item) = receiver.recv().await {
            sum += item;
        }
        sum
    });
    consumer.await.unwrap();
    start.elapsed()
}

async fn run(name: &str, n: usize) -> Option<Duration> {
    Some(match name {
        "spawn_await" => spawn_await(n).await,
        "spawn_many_cold" | "spawn_many_warm" => spawn_many(n).await,
        "spawn_detached" => spawn_detached(n).await,
        "yield_two" => yield_two(n).await,
        "yield_lone" => yield_lone(n).await,
        "pingpong" => ping_pong(n).await,
        "pingpong_across" => ping_pong_across(n).await,
        "queue_lone" => queue_lone(n).await,
        "queue_4x1" => queue_4x1(n).await,
        "timer_arm_cancel" => timer_arm_cancel(n).await,
        "timer_arm_cancel_million" => timer_arm_cancel_million(n).await,
        "cancel_reap" => cancel_reap(n).await,
        "timeout_ready" => timeout_ready(n).await,
        "gather" => gather(n).await,
        "group" => group(n).await,
        "group_cancel" => group_cancel(n).await,
        "lateness" => {
            lateness(n).await;
            Duration::ZERO
        }
        "fib" => return fork::fib(n).await,
        "skynet" => return fork::skynet(n).await,
        "nqueens" => return fork::nqueens(n).await,
        "storm" => spread::storm(n).await?,
        "hog" => spread::hog().await?,
        "parked" => spread::parked(n).await?,
        "wake_crowd" => spread::wake_crowd(n).await?,
        "timeout_park" => spread::timeout_park(n).await?,
        "echo_serve" => {
            eprintln!("peer_tokio: echo_serve: {}", echo::serve(n as i32).await.unwrap_err());
            std::process::exit(1)
        }
        _ => return None,
    })
}

async fn run_and_print(name: String, n: usize) {
    let is_cold = matches!(
        name.as_str(),
        "spawn_many_cold"
            | "lateness"
            | "fib"
            | "skynet"
            | "nqueens"
            | "hog"
            | "parked"
            | "wake_crowd"
            | "echo_serve"
    );
    if !is_cold {
        run(&name, n / 10 + 1).await;
    }
    match run(&name, n).await {
        Some(Duration::ZERO) => {}
        Some(elapsed) => println!("{} {}", name, elapsed.as_nanos() as f64 / n as f64),
        None => std::process::exit(77),
    }
}

const CASES: &[&str] = &[
    "spawn_await",
    "spawn_many_cold",
    "spawn_many_warm",
    "spawn_detached",
    "yield_two",
    "yield_lone",
    "pingpong",
    "pingpong_across",
    "queue_lone",
    "queue_4x1",
    "timer_arm_cancel",
    "timer_arm_cancel_million",
    "cancel_reap",
    "timeout_ready",
    "gather",
    "group",
    "group_cancel",
    "lateness",
    "fib",
    "skynet",
    "nqueens",
    "storm",
    "hog",
    "parked",
    "wake_crowd",
    "timeout_park",
    "echo_serve",
];

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    let is_current = args.next_if_eq("current").is_some();
    if is_current && args.len() == 0 {
        println!("echo_serve 1");
        return;
    }
    if args.len() == 0 {
        for name in CASES {
            println!("{} {}", name, 0); // with any number of workers
        }
        return;
    }
    let name = args.next().unwrap_or_default();
    let mut number = |otherwise| args.next().and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let operations = number(100000);
    let workers = number(1);
    if is_current {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(run_and_print(name, operations));
    }
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    // As a task, so that it runs on a worker.
    runtime.block_on(async move { tokio::spawn(run_and_print(name, operations)).await.unwrap() });
}
