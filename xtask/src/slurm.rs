//! `cargo xtask slurm`: a job array on a real Slurm of one machine, whose tasks are stopped, killed and requeued.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::browser::{found_or_installed, target};
use crate::{cargo_command, run};

/// Far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Iterations of a training before it is disturbed, of 3000. A checkpoint is written every 200.
const ITERATIONS: usize = 300;
/// Folders of the trainings in the order of their tasks.
const TRAININGS: [&str; 4] = [
    "full-I_eps-b3-seed3/fold_0",
    "full-I_eps-b3-seed3/fold_1",
    "partial-BI-b3-seed3/fold_0",
    "partial-BI-b3-seed3/fold_1",
];

/// Runs a small experiment here and through Slurm, where tasks do not come to their end undisturbed; both must give the
/// same scores, to the byte. Without Slurm it says so and is content.
pub(crate) fn test() -> bool {
    let packages = ["--no-install-recommends", "slurm-wlm", "munge"];
    let there = ["sbatch", "munge"].iter().all(|program| found_or_installed(&[program], &packages).is_some());
    if !there {
        eprintln!("SKIPPED: Slurm (sbatch) or munge is not installed, so no job array is run");
        return true;
    }
    let built = run(&mut cargo_command(&["build", "--release", "--locked", "--package", "dicewise-cli"]));
    let folder = target().join("slurm");
    let _ = fs::remove_dir_all(&folder);
    let (here, there) = (folder.join("here"), folder.join("on a cluster"));
    let run_here = || {
        let mut command = Command::new(program());
        run(command.env("RAYON_NUM_THREADS", "1").arg("run").arg(experiment()).arg("--out").arg(&here))
    };
    if !(built && fs::create_dir_all(&folder).is_ok() && run_here()) {
        return false;
    }
    let Some(cluster) = Cluster::start() else {
        eprintln!("SKIPPED: Slurm does not start on this machine, see above, so no job array is run");
        return true;
    };
    match cluster.disturbed_run(&here, &there) {
        Ok(()) => {
            eprintln!(
                "two tasks stopped, one killed and one requeued: cases.csv is that of a run without Slurm"
            );
            true
        }
        Err(reason) => {
            eprintln!("{reason}");
            cluster.say(&there);
            false
        }
    }
}

/// A cluster of this machine, which ends with it.
struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    fn start() -> Option<Self> {
        // Not below the target folder, which may lie in a home that is closed to others: munge wants its socket to be within
        // everybody's reach.
        let folder = std::env::temp_dir().join(format!("dicewise-slurm-{}", std::process::id()));
        let started = run(Command::new(sources().join("cluster.sh")).arg("start").arg(&folder));
        let cluster = Self { folder };
        started.then_some(cluster)
    }

    fn disturbed_run(&self, here: &Path, there: &Path) -> Result<(), String> {
        let submitted = self
            .command(program())
            .arg("run")
            .arg(experiment())
            .arg("--out")
            .arg(there)
            .args(["--slurm", "--array-limit", "2", "--cpus", "1", "--time", "60"])
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&submitted.stdout).into_owned();
        let mut jobs = said.split("as job ").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            (!digits.is_empty()).then_some(digits)
        });
        let (Some(array), Some(report)) = (jobs.next(), jobs.next()) else {
            return Err(format!("not submitted: {said}{}", String::from_utf8_lossy(&submitted.stderr)));
        };
        let training = |task: usize| there.join(TRAININGS[task]);
        let rows = |task: usize| {
            fs::read_to_string(training(task).join("metrics.csv")).unwrap_or_default().lines().count()
        };
        // Slurm lets requeued jobs wait for two minutes. Not at every look, for it takes a processor's time from the trainings.
        let mut looks = 0;
        let mut hurry = || {
            looks += 1;
            if looks % 10 != 0 {
                return;
            }
            for task in 0..TRAININGS.len() {
                let job = format!("JobId={array}_{task}");
                let _ = self.command("scontrol").args(["update", &job, "StartTime=now"]).output();
            }
        };

        // Each as soon as it is under way: on a quick machine a training lasts for seconds, and a slow scheduler starts the
        // second when the first is nearly done.
        let mut undisturbed: Vec<usize> = (0..TRAININGS.len()).collect();
        wait_until("trainings to disturb", || {
            if let Some(next) = undisturbed.iter().position(|&task| rows(task) > ITERATIONS) {
                let task = undisturbed.swap_remove(next);
                self.disturb(&format!("{array}_{task}"), task, &training(task))?;
            }
            hurry();
            Ok(undisturbed.is_empty())
        })?;
        wait_until("tables and report", || {
            hurry();
            let queued = self.command("squeue").args(["--noheader", "--format=%A"]).output();
            Ok(queued.is_ok_and(|list| {
                !String::from_utf8_lossy(&list.stdout).split_whitespace().any(|job| job == report)
            }))
        })?;

        let saved = "interrupted; saved";
        for (task, word) in [(0, saved), (1, "Killed"), (2, saved), (3, saved)] {
            let log = there.join("slurm").join(format!("{array}_{task}.log"));
            let said = fs::read_to_string(&log).unwrap_or_default();
            if !said.contains(word) {
                return Err(format!("{}: {word:?} is not in\n{said}", log.display()));
            }
        }
        for name in ["cases.csv", "table1.csv", "roc.csv", "grid.json"] {
            let read =
                |folder: &Path| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
            if read(there)? != read(here)? {
                return Err(format!("{name} differs between a run here and on the cluster"));
            }
        }
        match there.join("report").join("index.html").is_file() {
            true => Ok(()),
            false => Err("there is no report".to_owned()),
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    fn scheduler(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        match run(self.command(program).args(arguments)) {
            true => Ok(()),
            false => Err(format!("{program} failed")),
        }
    }

    /// What befalls task 0 and 3, 1, and 2.
    fn disturb(&self, job: &str, task: usize, training: &Path) -> Result<(), String> {
        match task {
            1 => {
                let lock = fs::read_to_string(training.join(".dicewise.lock"));
                let lock = lock.map_err(|error| format!("the lock of {}: {error}", training.display()))?;
                let process = lock.split_whitespace().nth(1).ok_or("a lock without a process")?;
                self.scheduler("kill", &["-KILL", process])
            }
            // As a preemption does it.
            2 => self.scheduler("scontrol", &["requeue", job]),
            _ => {
                self.terminate(job);
                Ok(())
            }
        }
    }

    /// SIGTERM to a task's script, as before a time limit. When the task has left by the time scancel looks, scancel sends
    /// it once more after five seconds, to the next go.
    fn terminate(&self, task: &str) {
        let _ = self.command("timeout").args(["3", "scancel", "--signal=TERM", "--batch", task]).output();
    }

    /// What there is to see when something went wrong.
    fn say(&self, results: &Path) {
        run(Command::new(program()).arg("status").arg(results));
        run(self.command("squeue").arg("--array"));
        let files = fs::read_dir(results.join("slurm")).into_iter().flatten().flatten();
        for log in files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "log")) {
            eprintln!("{}:\n{}", log.display(), fs::read_to_string(&log).unwrap_or_default());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs of a test that failed.
        let _ = self.command("scancel").args(["--full", "--state=RUNNING"]).output();
        run(Command::new(sources().join("cluster.sh")).arg("stop").arg(&self.folder));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {what}"));
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn program() -> PathBuf {
    target().join("release").join("dicewise")
}

fn experiment() -> PathBuf {
    sources().join("small.toml")
}

/// `xtask/slurm`.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm")
}
