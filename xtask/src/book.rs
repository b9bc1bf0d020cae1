//! `cargo xtask book`: README and docs as a site, set by mdBook.
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::browser::target;
use crate::markdown::links;
use crate::python::cache;
use crate::{cargo, pages, run};

const VERSION: &str = "0.5.4";

/// Checks the links, lays the pages out as mdBook wants them, and sets them. Says where the site is.
pub(crate) fn build() -> bool {
    if !pages::check() {
        return false;
    }
    let book = target().join("book");
    let staged = match stage(&pages::root(), &book) {
        Ok(staged) => staged,
        Err(error) => {
            eprintln!("{}: {error}", book.display());
            return false;
        }
    };
    let Some(mdbook) = mdbook() else { return false };
    if !run(Command::new(mdbook).arg("build").arg(&book)) {
        return false;
    }
    let html = book.join("html");
    let lost: Vec<&PathBuf> =
        staged.iter().filter(|page| !html.join(page.with_extension("html")).is_file()).collect();
    for page in &lost {
        eprintln!("{} did not become a page", page.display());
    }
    eprintln!("{}", html.join("index.html").display());
    lost.is_empty()
}

/// mdBook of the version asked for, on the path or below the user's cache, where it is put if it is missing.
fn mdbook() -> Option<PathBuf> {
    let folder = cache()?.join(format!("mdbook-{VERSION}"));
    let cached = folder.join("bin").join(if cfg!(windows) { "mdbook.exe" } else { "mdbook" });
    let is_right = |program: &Path| {
        let said = Command::new(program).arg("--version").output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(VERSION))
    };
    if let Some(program) = [PathBuf::from("mdbook"), cached.clone()].into_iter().find(|p| is_right(p)) {
        return Some(program);
    }
    let root = folder.display().to_string();
    let build = folder.join("build");
    let built = cargo(&[
        "install",
        "mdbook",
        "--locked",
        "--version",
        VERSION,
        "--no-default-features",
        "--features",
        "search",
        "--root",
        &root,
        "--target-dir",
        &build.display().to_string(),
    ]);
    // Only what was being built is in there.
    let _ = fs::remove_dir_all(&build);
    built.then_some(cached)
}

/// The pages, and all files that they link to, under the paths that they have in the repository, so that their links
/// stay right. Returns the pages.
fn stage(root: &Path, book: &Path) -> io::Result<Vec<PathBuf>> {
    let src = book.join("src");
    if src.exists() {
        fs::remove_dir_all(&src)?;
    }
    let contents = pages::contents(root)?;
    let mut files = BTreeSet::new();
    for page in &contents {
        let mut text = fs::read_to_string(root.join(page))?;
        let mut folders = Vec::new();
        for link in links(&text) {
            match pages::local(page, link.target) {
                Some((path, _)) if root.join(&path).is_dir() => {
                    folders.push((link.whole.clone(), link.text.to_owned()));
                }
                Some((path, _)) if !contents.contains(&path) => {
                    files.insert(path);
                }
                _ => {}
            }
        }
        // A site has nothing to show for a folder.
        for (whole, shown) in folders.into_iter().rev() {
            text.replace_range(whole, &shown);
        }
        write(&src.join(page), text.as_bytes())?;
    }
    for file in files {
        write(&src.join(&file), &fs::read(root.join(&file))?)?;
    }
    write(&src.join("SUMMARY.md"), summary(root)?.as_bytes())?;
    write(&book.join("book.toml"), include_bytes!("../book/book.toml"))?;
    Ok(contents)
}

/// The table of contents as seen from the root.
fn summary(root: &Path) -> io::Result<String> {
    let page = Path::new(pages::SUMMARY);
    let mut text = fs::read_to_string(root.join(page))?;
    let places: Vec<_> = links(&text)
        .iter()
        .filter_map(|link| Some((link.place.clone(), pages::local(page, link.target)?.0)))
        .collect();
    for (place, path) in places.into_iter().rev() {
        text.replace_range(place, &path.display().to_string().replace('\\', "/"));
    }
    Ok(text)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs::write(path, bytes)
}
