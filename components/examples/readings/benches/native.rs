//! What an item of the samples costs natively, without a sandbox. `heplake component bench`
//! runs this and reads the line that it prints.
#![allow(
    clippy::unwrap_used,
    reason = "samples that cannot be read end the benchmark"
)]

use heplake_readings::Readings;
use heplake_sdk::{Parser, run, samples};
use std::{fs, hint::black_box, path::Path, time::Instant};

/// Items a batch, as the host hands them on.
const BATCH: usize = 1024;
/// The best of these counts.
const ROUNDS: usize = 200;

fn main() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut all = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            all.extend(samples::read(&fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    let mut parser = Readings;
    let items: Vec<_> = all.iter().cycle().take(BATCH).collect();
    let batch = samples::batch(&items, &parser.describe()).unwrap();
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(run(&mut parser, black_box(&batch)));
            start.elapsed().as_nanos() as f64 / items.len().max(1) as f64
        })
        .fold(f64::INFINITY, f64::min);
    println!("native {best:.1} ns an item");
}
