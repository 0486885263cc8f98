//! How much memory this process holds, as Linux tells it.

/// Resident bytes of the process's own, files in the page cache not counted; None on other systems.
pub fn resident() -> Option<u64> {
    field("RssAnon:")
}

/// The most that were resident, files included, since the process began.
#[allow(dead_code, reason = "not every test that measures asks for the peak")]
pub fn peak() -> Option<u64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}
