//! README and docs as one set of pages: every link leads somewhere, and every page is in the table of contents.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::markdown::{Link, anchors, links};

/// The table of contents, from the root of the repository.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";
/// Folders whose Markdown files are checked.
const FOLDERS: [&str; 4] = ["", "docs", "benches", "python"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

/// Checks all pages and says what is wrong.
pub(crate) fn check() -> bool {
    let faults = match faults(&root()) {
        Ok(faults) => faults,
        Err(error) => vec![error.to_string()],
    };
    for fault in &faults {
        eprintln!("{fault}");
    }
    faults.is_empty()
}

fn faults(root: &Path) -> io::Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = normal(path.strip_prefix(root).unwrap_or(&path));
                pages.insert(name.unwrap_or_default(), fs::read_to_string(&path)?);
            }
        }
    }
    let mut faults = Vec::new();
    for (page, text) in &pages {
        for link in links(text) {
            if let Err(what) = resolve(root, page, &link, &pages) {
                faults.push(format!(
                    "{}:{}: [{}]({}): {what}",
                    page.display(),
                    link.line,
                    link.text,
                    link.target
                ));
            }
        }
    }
    let contents: BTreeSet<PathBuf> = contents(root)?.into_iter().collect();
    for page in pages.keys().filter(|page| !contents.contains(*page) && *page != Path::new(SUMMARY)) {
        faults.push(format!("{}: not in {SUMMARY}", page.display()));
    }
    Ok(faults)
}

/// The pages of the table of contents in their order, from the root.
pub(crate) fn contents(root: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string(root.join(SUMMARY))?;
    Ok(links(&text)
        .iter()
        .filter_map(|link| local(Path::new(SUMMARY), link.target))
        .map(|(path, _)| path)
        .collect())
}

/// Where a link leads, from the root of the repository, and its anchor; none if it leads elsewhere.
pub(crate) fn local<'a>(page: &Path, target: &'a str) -> Option<(PathBuf, Option<&'a str>)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let path = match path {
        "" => page.to_owned(),
        path => page.parent().unwrap_or(Path::new("")).join(path),
    };
    // A path out of the repository stays as it is, and is not found.
    Some((normal(&path).unwrap_or(path), anchor))
}

/// Without `.` and `..`; none for a path that leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            _ => return None,
        }
    }
    Some(normal)
}

fn resolve(
    root: &Path,
    page: &Path,
    link: &Link<'_>,
    pages: &BTreeMap<PathBuf, String>,
) -> Result<(), String> {
    let Some((path, anchor)) = local(page, link.target) else { return Ok(()) };
    if normal(&path).is_none() {
        return Err("leads out of the repository".to_owned());
    }
    if !root.join(&path).exists() {
        return Err(format!("there is no {}", path.display()));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    match pages.get(&path) {
        None => Err(format!("{} is no page, so it has no #{anchor}", path.display())),
        Some(text) if anchors(text).iter().any(|name| name == anchor) => Ok(()),
        Some(_) => Err(format!("{} has no heading #{anchor}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("dicewise-pages-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, text) in files {
            fs::write(root.join(name), text).unwrap();
        }
        root
    }

    #[test]
    fn every_kind_of_wrong_link_is_found_where_it_stands() {
        let root = repository(&[
            (
                "README.md",
                "[a](docs/a.md#here) [file](docs) [web](https://x.org/y)\n\n[b](docs/b.md) [c](docs/a.md#there)\n",
            ),
            ("docs/a.md", "# Here\n[up](../README.md) [self](#here) [out](../../x)\n"),
            ("docs/lost.md", "[code](a.png#x)\n"),
            ("docs/a.png", ""),
            (SUMMARY, "[r](../README.md)\n- [a](a.md)\n"),
        ]);
        let mut found = faults(&root).unwrap();
        found.sort();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(
            found,
            [
                "README.md:3: [b](docs/b.md): there is no docs/b.md",
                "README.md:3: [c](docs/a.md#there): docs/a.md has no heading #there",
                "docs/a.md:2: [out](../../x): leads out of the repository",
                "docs/lost.md: not in docs/SUMMARY.md",
                "docs/lost.md:1: [code](a.png#x): docs/a.png is no page, so it has no #x",
            ]
        );
    }
}
