//! What was run.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Report;
use crate::html::{Page, escape};

impl Report<'_> {
    pub(super) fn push_run(&self, page: &mut Page) {
        let record = &self.record;
        page.push("<h2 id=\"run\">What was run</h2>\n");
        let mut rows = String::new();
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">{name}</th><td class=\"left\">{}</td></tr>",
                escape(value)
            );
        };
        let seeds: BTreeSet<u64> = record.trainings.iter().map(|t| t.seed).collect();
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        row("program", &format!("dicewise {}", record.version));
        row("started", &record.started);
        row("duration of the last call", &duration(record.seconds));
        row("machine", &format!("{}, {}", record.machine.processor, record.machine.system));
        row("threads", &record.machine.threads.to_string());
        row("seeds", &seeds.join(", "));
        row("networks", &record.trainings.len().to_string());
        page.push(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: the run\"><table><tbody>{rows}\
             </tbody></table></div>\n"
        ));
        let mut losses = String::new();
        for setting in &record.settings {
            let _ = writeln!(
                losses,
                "<tr><th scope=\"row\">{}</th><td class=\"left\">{}</td></tr>",
                escape(&setting.name),
                escape(&setting.loss)
            );
        }
        page.push(&format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: losses\"><table>\
             <thead><tr><th class=\"left\" scope=\"col\">setting</th><th class=\"left\" scope=\"col\">loss</th></tr>\
             </thead><tbody>{losses}</tbody></table></div>\n<details><summary>The experiment file</summary>\
             <pre tabindex=\"0\">{}</pre></details>\n",
            escape(&record.configuration)
        ));
        page.push(
            "<p class=\"facts\">Tables beside this page: <code>cases.csv</code>, <code>table1.csv</code>, \
             <code>roc.csv</code>; figures as SVG, PNG and CSV in <code>report/figures</code>. \
             <code>dicewise report</code> writes this page again from these files.</p>\n",
        );
    }
}

/// `2 h 5 min`, `3 min 20 s`, `12 s`
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
