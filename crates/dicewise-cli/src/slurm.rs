//! `dicewise run --slurm`: the grid as a job array, and a job after it that writes tables and report.
use std::fs;
use std::io;
use std::path::{Path, absolute};
use std::process::{Command, ExitCode};

use dicewise_experiment::{CellConfig, Data, Experiment};
use dicewise_report::write_atomically;

use crate::cell;
use crate::grid_file::GridFile;
use crate::run::output_folder;
use crate::run_error::RunError;
use crate::{args, devices, stdout};

/// Folder of scripts and logs, inside that of the results.
const FOLDER: &str = "slurm";
/// The experiment file as it was submitted: one that is changed meanwhile must not change tasks that still wait.
const EXPERIMENT: &str = "experiment.toml";
const TRAIN: &str = "train.sh";
const REPORT: &str = "report.sh";

/// What a task does around its training. The shell, unlike a program of its own in its place, gets a signal that Slurm
/// sends to the batch script only, and can ask for another go.
const TASK: &str = r#"
# A task that was stopped before its end (130, or 143 if it had not begun) has saved itself and goes on when it runs
# again. One that was killed (137) goes on from its last checkpoint, a few times. One that was cancelled is not RUNNING any
# more. (SLURM_JOB_ID would be the whole array in its last task.)
finish() {
  task="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
  case "$1" in
    130 | 143) again=yes ;;
    137) [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ] && again=yes ;;
  esac
  if [ -n "${again:-}" ] && [ "$(squeue --noheader --jobs="$task" --format=%T)" = RUNNING ]; then
    scontrol requeue "$task"
  fi
  exit "$1"
}
stop() {
  trap "" TERM
  if [ -z "${!:-}" ]; then finish 143; fi
  kill -TERM $!
  wait $!
  finish $?
}
trap stop TERM
"#;

/// Writes the scripts and submits them, or prints them.
pub(crate) fn run(args: &args::Run, experiment: &Experiment, out: &Path) -> Result<ExitCode, RunError> {
    let out = absolute(out).map_err(RunError::io(out))?;
    let cells = experiment.cells();
    let configs: Vec<CellConfig> = cells.iter().map(|cell| experiment.cell_config(cell)).collect();
    let left: Vec<usize> =
        (0..configs.len()).filter(|&task| !cell::is_done(&cell::folder(&out, &configs[task]))).collect();
    if left.is_empty() {
        return Err(RunError::Usage(format!(
            "{}: all {} trainings are done; `dicewise run` with --resume and without --slurm writes tables and report",
            out.display(),
            configs.len()
        )));
    }
    let scripts = Scripts::new(args, experiment, &out, &left)?;
    let folder = out.join(FOLDER);
    let (train, report) = (folder.join(TRAIN), folder.join(REPORT));
    if args.dry_run {
        let text = format!(
            "==> {} <==\n{}\n==> {} <==\n{}",
            train.display(),
            scripts.train,
            report.display(),
            scripts.report
        );
        stdout::write(&text).map_err(RunError::Stdout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let lock = output_folder(&out, args.resume)?;
    fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
    let text = fs::read(&args.experiment).map_err(RunError::io(&args.experiment))?;
    write_atomically(&folder.join(EXPERIMENT), &text)?;
    write_atomically(&train, scripts.train.as_bytes())?;
    write_atomically(&report, scripts.report.as_bytes())?;
    GridFile::new(&configs, None)?.write(&out)?;
    // Tasks may start before the next line.
    drop(lock);
    let array = submit(&[], &train)?;
    let after = [format!("--dependency=afterok:{array}"), "--kill-on-invalid-dep=yes".to_owned()];
    let last = submit(&after, &report)?;
    let (tasks, out) = (left.len(), out.display());
    let text = format!(
        "submitted {tasks} trainings as job {array}, tables and report as job {last}\n\
         see: dicewise status {out}\nstop: scancel {array} {last}; go on: the same command with --resume\n"
    );
    stdout::write(&text).map_err(RunError::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

struct Scripts {
    train: String,
    report: String,
}

impl Scripts {
    fn new(args: &args::Run, experiment: &Experiment, out: &Path, left: &[usize]) -> Result<Self, RunError> {
        let folder = out.join(FOLDER);
        let run = command(args, experiment, out)?;
        let (slurm, name, file) = (&args.slurm, &experiment.name, args.experiment.display());
        let limit = slurm.array_limit.map_or(String::new(), |limit| format!("%{limit}"));
        let directives = |job: &str, log: &str, more: &[String]| {
            let given = [
                ("partition", &slurm.partition),
                ("account", &slurm.account),
                ("mem", &slurm.mem),
                ("time", &slurm.time),
                ("cpus-per-task", &slurm.cpus.map(|cpus| cpus.to_string())),
            ];
            let given = given.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
            // `%` begins a replacement in the name of a log.
            let log = folder.display().to_string().replace('%', "%%") + "/" + log;
            let all = [format!("job-name={job}"), format!("output={}", quoted(&log))];
            all.into_iter()
                .chain(given)
                .chain(more.iter().cloned())
                .fold(String::new(), |text, directive| text + "#SBATCH --" + &directive + "\n")
        };
        let mut of_array = vec![
            format!("array={}{limit}", ranges(left)),
            "requeue".to_owned(),
            // A task that goes on keeps what it said before.
            "open-mode=append".to_owned(),
            // To the script, two minutes before the time limit.
            "signal=B:TERM@120".to_owned(),
        ];
        of_array.extend(slurm.gres.iter().map(|gres| format!("gres={gres}")));
        let threads = "export RAYON_NUM_THREADS=\"${SLURM_CPUS_ON_NODE:-0}\"\n";
        let device = quoted(&devices::only(&args.devices)?.to_string());
        let loaders = args.loading.given().map_or_else(String::new, |n| format!(" --loaders {n}"));
        let train = format!(
            "#!/bin/bash\n# The trainings of {file}, a task each: written by `dicewise run --slurm`.\n{}{TASK}\n\
             {threads}{run} --device {device}{loaders} --task \"$SLURM_ARRAY_TASK_ID\" &\n\
             wait $!\nfinish $?\n",
            directives(name, "%A_%a.log", &of_array)
        );
        let report = format!(
            "#!/bin/bash\n# Tables and report of {file}, once all trainings are done: written by `dicewise run --slurm`.\n\
             {}\n{threads}exec {run} --resume\n",
            directives(&format!("{name}-report"), "report_%j.log", &[])
        );
        Ok(Self { train, report })
    }
}

/// `dicewise run …` as every job of the submission begins.
fn command(args: &args::Run, experiment: &Experiment, out: &Path) -> Result<String, RunError> {
    let program = std::env::current_exe().map_err(RunError::io("dicewise"))?;
    let mut words = vec![quoted_path(&program)];
    words.push("run".to_owned());
    words.push(quoted_path(&out.join(FOLDER).join(EXPERIMENT)));
    words.push(format!("--out {}", quoted_path(out)));
    // Relative paths of the file start at its folder, and variables are those of today.
    if let Data::Folder { path, .. } = &experiment.data {
        words.push(format!("--data {}", quoted_path(&absolute(path).map_err(RunError::io(path))?)));
    }
    if !args.seeds.is_empty() {
        let seeds: Vec<String> = args.seeds.iter().map(u32::to_string).collect();
        words.push(format!("--seed {}", seeds.join(",")));
    }
    words.extend(args.scale.map(|scale| format!("--scale {scale}")));
    Ok(words.join(" "))
}

/// Submits a script; the number of its job.
fn submit(flags: &[String], script: &Path) -> Result<String, RunError> {
    let output = Command::new("sbatch").arg("--parsable").args(flags).arg(script).output();
    let output = output.map_err(|error| RunError::Slurm {
        script: script.to_owned(),
        reason: match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no sbatch here; call dicewise where jobs are submitted".to_owned()
            }
            _ => error.to_string(),
        },
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    // `17`, or `17;CLUSTER`.
    match said.trim().split(';').next() {
        Some(job) if output.status.success() && !job.is_empty() => Ok(job.to_owned()),
        _ => Err(RunError::Slurm {
            script: script.to_owned(),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// `0-3,5,8-9`
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let text = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    text.collect::<Vec<_>>().join(",")
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// One word of a shell, and of a line of `#SBATCH`.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 3, 5, 8, 9]), "0-3,5,8-9");
        assert_eq!(ranges(&[7]), "7");
    }

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        for (word, expected) in [
            ("/data/brats-2018_v1.0", "/data/brats-2018_v1.0"),
            ("/my data", "'/my data'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
