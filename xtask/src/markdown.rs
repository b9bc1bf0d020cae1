//! Links and headings of Markdown, as far as README and docs use it.

/// A link or an image: `[text](target)`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
    pub(crate) target: &'a str,
    /// Bytes of the whole link in the file.
    pub(crate) whole: std::ops::Range<usize>,
    /// Bytes of the target.
    pub(crate) place: std::ops::Range<usize>,
}

/// All links but those in code.
pub(crate) fn links(markdown: &str) -> Vec<Link<'_>> {
    let code = code(markdown);
    let bytes = markdown.as_bytes();
    let mut open = Vec::new();
    let mut links = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(end) = code.iter().find(|range| range.start == at).map(|range| range.end) {
            at = end;
            continue;
        }
        match bytes[at] {
            b'\\' => at += 1,
            b'[' => open.push(at),
            b']' => {
                let start = open.pop();
                let close = bytes[at..].starts_with(b"](").then(|| closing(bytes, at + 1)).flatten();
                if let (Some(start), Some(close)) = (start, close) {
                    links.push(Link {
                        line: markdown[..start].matches('\n').count() + 1,
                        text: &markdown[start + 1..at],
                        target: &markdown[at + 2..close],
                        whole: start..close + 1,
                        place: at + 2..close,
                    });
                    at = close;
                }
            }
            _ => {}
        }
        at += 1;
    }
    links
}

/// The `)` that belongs to the `(` at this place, on the same line.
fn closing(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (place, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\n' => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(place);
        }
    }
    None
}

/// Bytes of fenced blocks and of code within lines.
fn code(markdown: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut fence: Option<(usize, &str)> = None;
    let mut at = 0;
    for line in markdown.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some((at, mark)),
            (Some((start, opened)), Some(mark)) if opened == mark => {
                ranges.push(start..at + line.len());
                fence = None;
            }
            (None, None) => ranges.extend(spans(line).map(|span| at + span.start..at + span.end)),
            _ => {}
        }
        at += line.len();
    }
    ranges.extend(fence.map(|(start, _)| start..markdown.len()));
    ranges
}

/// Code within a line: between runs of the same number of backticks.
fn spans(line: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + line[from..].find('`')?;
            let ticks = line[start..].bytes().take_while(|&byte| byte == b'`').count();
            let mut end = start + ticks;
            while let Some(next) = line[end..].find('`') {
                let run = line[end + next..].bytes().take_while(|&byte| byte == b'`').count();
                end += next + run;
                if run == ticks {
                    from = end;
                    return Some(start..end);
                }
            }
            from = start + ticks;
        }
    })
}

/// The anchors of all headings, as GitHub and mdBook name them.
pub(crate) fn anchors(markdown: &str) -> Vec<String> {
    let code = code(markdown);
    let mut anchors: Vec<String> = Vec::new();
    let mut at = 0;
    for line in markdown.split_inclusive('\n') {
        let level = line.bytes().take_while(|&byte| byte == b'#').count();
        let in_block = code.iter().any(|range| range.start <= at && at < range.end);
        if (1..=6).contains(&level) && line[level..].starts_with(' ') && !in_block {
            let name = anchor(&line[level..]);
            let same = anchors.iter().filter(|a| **a == name).count();
            anchors.push(if same == 0 { name } else { format!("{name}-{same}") });
        }
        at += line.len();
    }
    anchors
}

/// Letters and digits in lower case, `-` for spaces, nothing for the rest.
fn anchor(heading: &str) -> String {
    // What a link shows is its text.
    let mut shown = heading.trim().to_owned();
    for link in links(heading.trim()).iter().rev() {
        shown.replace_range(link.whole.clone(), link.text);
    }
    let letter = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    };
    shown.to_lowercase().chars().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_with_their_lines_and_code_has_none() {
        let markdown = "a [b](c.md#d) and\n![e](f(1).png)\n`[no](x)` ``a`[no](y)``\n```\n[no](z)\n```\n[`g`](h)\n\\[no](i)\n";
        let found: Vec<(usize, &str, &str)> =
            links(markdown).iter().map(|link| (link.line, link.text, link.target)).collect();
        assert_eq!(found, [(1, "b", "c.md#d"), (2, "e", "f(1).png"), (7, "`g`", "h")]);
    }

    /// As GitHub shows them: spaces become dashes, each of them, and punctuation goes.
    #[test]
    fn headings_have_the_anchors_that_github_gives_them() {
        let markdown = "# Which Φ and ε should I use?\n## `presence.csv`\n## A, B\n## A B\n```\n# no\n```\n## a - b\n## [x](y) z\n";
        assert_eq!(
            anchors(markdown),
            ["which-φ-and-ε-should-i-use", "presencecsv", "a-b", "a-b-1", "a---b", "x-z"]
        );
    }
}
