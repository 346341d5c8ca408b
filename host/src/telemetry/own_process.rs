//! Figures of this process, as Linux tells them under /proc. Where there is no such directory they are left out.

use metrics::{counter, gauge};
use nix::time::{ClockId, clock_gettime};
use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// Publishes when the process started: about now.
pub(super) fn begin() {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    gauge!("process_start_time_seconds").set(since.as_secs_f64());
    measure();
}

/// Publishes what changes.
pub(super) fn measure() {
    if let Ok(time) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        counter!("process_cpu_seconds_total").absolute(seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = field(&status, "VmRSS:") {
        gauge!("process_resident_memory_bytes").set(kib * 1024.0);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(max) = field(&limits, "Max open files") {
        gauge!("process_max_fds").set(max);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(open.count() as f64);
    }
}

/// The first number of the line that starts so.
fn field(text: &str, start: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(start))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_number_is_found_on_its_line() {
        let status = "Name:\theplake\nVmRSS:\t  261120 kB\n";
        let limits = "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(field(status, "VmRSS:"), Some(261_120.0));
        assert_eq!(field(limits, "Max open files"), Some(1024.0));
        assert_eq!(field("Max open files unlimited", "Max open files"), None);
        assert_eq!(field("", "VmRSS:"), None);
    }
}
