//! The CPU: its model, threads, instructions and memory.
use std::fs;

use dicewise::InstructionSet;

use super::Listed;
use crate::args::DeviceName;

/// Its model as the system calls it, else its architecture.
pub(crate) fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

pub(super) fn listed() -> Listed {
    let mut details = vec![format!("{} threads", rayon::current_num_threads())];
    details.push(InstructionSet::best().to_string());
    if let Some([total, available]) = memory() {
        details.push(format!("{total:.1} GiB memory, {available:.1} available"));
    }
    Listed { name: DeviceName::Cpu, model: model(), details: details.join(", ") }
}

/// Total and available memory in GiB, where the system says.
fn memory() -> Option<[f64; 2]> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemTotal:       24684208 kB`, where kB is KiB.
fn parse_memory(text: &str) -> Option<[f64; 2]> {
    let of = |key: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: f64 = rest.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / f64::from(1 << 20))
    };
    Some([of("MemTotal")?, of("MemAvailable")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    1048576 kB\n";
        assert_eq!(parse_memory(text), Some([16.0, 1.0]));
        assert_eq!(parse_memory("MemTotal: 16777216 kB\n"), None);
    }
}
