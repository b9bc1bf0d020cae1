//! Who works in a folder, for whoever comes across its lock.
use std::env;
use std::fmt;
use std::fs;
use std::time::SystemTime;

use crate::utc::utc;

/// What stands between who it is and when it began.
const SINCE: &str = ", since ";

/// Who works in a folder, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// `process 12 on node3, Slurm job 17_4`
    pub(crate) who: String,
    /// In UTC.
    pub(crate) since: String,
}

impl Owner {
    pub(crate) fn this_process() -> Self {
        let mut who = format!("process {}", std::process::id());
        // Numbers of processes mean something only together with their machine.
        if let Some(host) = host() {
            who += &format!(" on {host}");
        }
        if let Some(job) = slurm_job() {
            who += &format!(", Slurm job {job}");
        }
        Self { who, since: utc(SystemTime::now()) }
    }

    /// Of what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Self {
        let (who, since) = text.rsplit_once(SINCE).unwrap_or((text, ""));
        Self { who: who.to_owned(), since: since.to_owned() }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SINCE}{}", self.who, self.since)
    }
}

fn host() -> Option<String> {
    let of_linux = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = of_linux.or_else(|| env::var("HOSTNAME").ok())?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// `17_4` for task 4 of array 17.
fn slurm_job() -> Option<String> {
    match (env::var("SLURM_ARRAY_JOB_ID"), env::var("SLURM_ARRAY_TASK_ID")) {
        (Ok(array), Ok(task)) => Some(format!("{array}_{task}")),
        _ => env::var("SLURM_JOB_ID").ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let owner = Owner::this_process();
        assert!(owner.who.starts_with("process ") && owner.since.ends_with('Z'), "{owner:?}");
        assert_eq!(Owner::parse(&owner.to_string()), owner);
        let who = "process 12 on node3, Slurm job 17_4";
        let read = Owner::parse(&format!("{who}, since 2026-01-31T12:00:00Z"));
        assert_eq!((read.who.as_str(), read.since.as_str()), (who, "2026-01-31T12:00:00Z"));
    }
}
