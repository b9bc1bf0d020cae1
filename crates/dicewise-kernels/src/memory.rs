//! Where freed memory goes.

/// Tells the allocator of the C library to keep freed memory instead of handing it back to the system. For programs;
/// call it once, before threads start.
///
/// A training step frees and claims the same few large tensors again and again. By default glibc maps each of them
/// afresh, and the kernel fills every page with zeros when it is first touched: 10 to 20 % of the time of small networks.
/// Does nothing where the C library is another.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::keep_freed_memory();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    use std::ffi::c_int;

    /// `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of `malloc.h`.
    const TRIM_THRESHOLD: c_int = -1;
    const MMAP_THRESHOLD: c_int = -3;
    /// Larger tensors are worth their pages' zeros, and would leave holes in memory that is kept.
    const LARGEST_KEPT: c_int = 4 << 20;
    const FREE_AT_THE_TOP: c_int = 256 << 20;

    unsafe extern "C" {
        safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    pub(super) fn keep_freed_memory() {
        // A refusal leaves the defaults, which are only slower.
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT);
        mallopt(TRIM_THRESHOLD, FREE_AT_THE_TOP);
    }
}
