//! How much room is left on the disks that Heplake writes to.

use crate::health::{Code, Health};
use nix::sys::statvfs::statvfs;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::MissedTickBehavior};

/// Room below which it is reported: a commit of the default size, `ducklake.batch_bytes`.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// Between two looks. A disk that fills at 20 MB/s is noticed before it is full.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks at the disk of a path, which `setting` names, as long as the runtime runs; publishes what is left, and
/// reports to `health` when that is little.
pub fn watch_disk(setting: &'static str, path: PathBuf, health: &Arc<Health>) {
    let health = health.clone();
    let _ends_with_the_runtime = tokio::spawn(async move {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let path = path.clone();
            // A network file system that is away blocks.
            let free = spawn_blocking(move || free_bytes(&path)).await;
            // Who cannot look has nothing to say: a write that fails is reported as such.
            if let Ok(Some(free)) = free {
                tell(setting, free, &health);
            }
        }
    });
}

fn free_bytes(path: &PathBuf) -> Option<u64> {
    let found = statvfs(path).ok()?;
    Some(
        found
            .blocks_available()
            .saturating_mul(found.fragment_size()),
    )
}

fn tell(setting: &'static str, free: u64, health: &Health) {
    metrics::gauge!("heplake_disk_free_bytes", "setting" => setting).set(free as f64);
    if free < FREE_BYTES_MIN {
        let text = format!("{setting}: {} MiB are left on its disk", free >> 20);
        health.raise_about(Code::DiskSpaceLow, setting, text);
    } else {
        health.settle_about(Code::DiskSpaceLow, setting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_reported_until_there_is_more() {
        let health = Health::new();
        tell("ducklake.data_path", FREE_BYTES_MIN, &health);
        assert!(health.report().reasons.is_empty());
        tell("ducklake.data_path", 12 << 20, &health);
        tell("ducklake.catalog_path", 12 << 20, &health);
        let report = health.report();
        assert_eq!(report.reasons.len(), 2);
        assert!(
            report.reasons[0]
                .text
                .ends_with(": 12 MiB are left on its disk")
        );
        tell("ducklake.data_path", FREE_BYTES_MIN, &health);
        assert_eq!(health.report().reasons.len(), 1);
    }

    #[test]
    fn a_disk_tells_its_room_and_a_path_that_is_not_there_does_not() {
        let directory = tempfile::tempdir().unwrap();
        assert!(free_bytes(&directory.path().to_owned()).is_some());
        assert_eq!(free_bytes(&directory.path().join("none")), None);
    }
}
