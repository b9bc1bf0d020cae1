//! `dicewise-fuzz FOLDER` writes the corpora that the fuzzers start from.
use std::path::Path;
use std::process::ExitCode;

use dicewise_fuzz::Target;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = &arguments[..] else {
        eprintln!("usage: dicewise-fuzz FOLDER");
        return ExitCode::from(2);
    };
    match write_seeds(Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_seeds(folder: &Path) -> std::io::Result<()> {
    for &target in Target::ALL {
        let corpus = folder.join(target.name());
        std::fs::create_dir_all(&corpus)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
