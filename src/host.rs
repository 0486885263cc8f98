//! The machine that wgrad runs on, as its system tells it.

use std::sync::LazyLock;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::error::{Error, Result};
use crate::plan::grouped;

/// The processor's name, or its architecture where the system does not tell.
pub fn processor() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
        let brand = system.cpus().first().map_or("", |cpu| cpu.brand().trim());
        if brand.is_empty() { std::env::consts::ARCH.to_owned() } else { brand.to_owned() }
    });
    &NAME
}

/// The machine's memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Of the machine.
    pub total: u64,
    /// What can be allocated without taking it from another process: swap space included, the container's limit heeded.
    pub available: u64,
    /// What the container may have in all, if less than the machine has.
    pub limit: Option<u64>,
}

impl Memory {
    /// None where the system does not tell.
    pub fn now() -> Option<Memory> {
        let system = System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::everything()));
        let (total, free) = (system.total_memory(), system.available_memory() + system.free_swap());
        if total == 0 {
            return None;
        }
        // Pages of files count as used by the container, and are given up when memory is asked for.
        let container = system.cgroup_limits().filter(|limits| limits.total_memory < total);
        let room = container.as_ref().map_or(u64::MAX, |limits| limits.total_memory.saturating_sub(limits.rss));
        Some(Memory { total, available: free.min(room), limit: container.map(|limits| limits.total_memory) })
    }
}

/// Holds what is about to be allocated to what is there: systems promise more memory than they have, and end a process
/// that takes them at their word.
///
/// # Errors
/// [`Error::Device`] with the bytes that are needed and those that are available.
pub fn check_room(bytes: u64) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::device(format!("this network and data need {} bytes of memory, {why}", grouped(bytes)))
            .remedy("use fewer units or a smaller batch"))
    };
    if let Some(memory) = Memory::now().filter(|memory| bytes > memory.available) {
        return refused(&format!("{} are available", grouped(memory.available)));
    }
    // This process may be allowed less than there is: it asks once, in one piece.
    let allowed = usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if allowed { Ok(()) } else { refused("more than this process may have") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_memory() {
        assert!(!processor().is_empty());
        let Some(memory) = Memory::now() else { return };
        assert!(memory.available > 0 && memory.available <= memory.total.saturating_mul(64), "{memory:?}");
        assert!(memory.limit.is_none_or(|limit| limit < memory.total && memory.available <= limit), "{memory:?}");
    }

    #[test]
    fn more_than_there_is_is_refused_with_both_numbers() {
        assert!(check_room(1 << 20).is_ok());
        let Some(memory) = Memory::now() else { return };
        let error = check_room(1 << 60).expect_err("an exbibyte").to_string();
        assert!(
            error.contains("need 1,152,921,504,606,846,976 bytes of memory, ") && error.contains(" are available"),
            "{error}"
        );
        // Within what systems promise, and beyond what is there.
        let (needed, free) = (memory.total, memory.available);
        assert!(needed <= free || check_room(needed).is_err(), "{needed} of {free}");
    }
}
