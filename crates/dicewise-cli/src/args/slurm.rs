//! Flags of `dicewise run --slurm`.
use clap::Args as Flags;

use super::values::at_least_one;

/// A job array instead of trainings here.
#[derive(Debug, Flags)]
#[command(next_help_heading = "Slurm")]
pub(crate) struct Slurm {
    /// Submit a job array with a task for each training, and a job after it that writes tables and report. With
    /// --dry-run, print the scripts instead; with --resume, submit what is not done yet.
    #[arg(long, conflicts_with_all = ["task", "jobs", "probe"])]
    pub(crate) slurm: bool,
    /// Partition of the jobs.
    #[arg(long, value_name = "NAME", requires = "slurm", value_parser = word)]
    pub(crate) partition: Option<String>,
    /// Account of the jobs.
    #[arg(long, value_name = "NAME", requires = "slurm", value_parser = word)]
    pub(crate) account: Option<String>,
    /// Generic resources of a training, such as gpu:1.
    #[arg(long, value_name = "LIST", requires = "slurm", value_parser = word)]
    pub(crate) gres: Option<String>,
    /// CPUs of a job.
    #[arg(long, value_name = "N", requires = "slurm", value_parser = at_least_one)]
    pub(crate) cpus: Option<usize>,
    /// Memory of a job, such as 16G.
    #[arg(long, value_name = "SIZE", requires = "slurm", value_parser = word)]
    pub(crate) mem: Option<String>,
    /// Time limit of a job, such as 24:00:00. A training that is not done by then is saved and queued again.
    #[arg(long, value_name = "TIME", requires = "slurm", value_parser = word)]
    pub(crate) time: Option<String>,
    /// Trainings at the same time.
    #[arg(long, value_name = "N", requires = "slurm", value_parser = at_least_one)]
    pub(crate) array_limit: Option<usize>,
}

/// What stands in a line of a script.
fn word(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+.,:=/@".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("accepted: letters, digits and _-+.,:=/@".to_owned()),
    }
}
