//! What the TOML reader says, in the words of someone who writes experiment files.
use super::Checker;
use crate::MistakeKind;

pub(super) fn explain(checker: &mut Checker<'_>, error: &toml::de::Error) {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut quoted = backquoted(rest);
        if let Some(key) = quoted.next() {
            let accepted: Vec<&str> = quoted.collect();
            checker.unknown_text(MistakeKind::UnknownKey, span, key, "key", &accepted);
            return;
        }
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) =
            message.strip_prefix(prefix).and_then(|m| m.rsplit_once(", expected "))
        {
            let expected = in_words(expected);
            let message = format!("{found} instead of {expected}");
            checker.add(
                MistakeKind::WrongType,
                span,
                message,
                "wrong kind of value",
                format!("write {expected}"),
            );
            return;
        }
    }
    let help = "keys look like `name = \"phantom\"`, sections like `[data]`, repeated sections like `[[cells]]`; \
                words stand in quotes";
    let label = if message == "duplicate key" { "again" } else { "cannot be read from here" };
    checker.add(MistakeKind::Syntax, span, format!("not TOML: {message}"), label, help);
}

fn backquoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn in_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" => "a whole number of 0 or more",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a label value from 0 to 65535",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a word in quotes",
        "a sequence" => "a list such as [1, 2]",
        "a map" => "a table such as { HGG = 30, LGG = 30 }",
        other => other,
    }
}
