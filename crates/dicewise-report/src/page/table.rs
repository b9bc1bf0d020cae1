//! Table 1 as HTML.

use std::fmt::Write;

use crate::html::escape;
use crate::table1_layout::{Layout, Metric};
use crate::{Table1, Table1Row};

/// One table for each label, and what has to be known to read it.
pub(super) fn tables(table: &Table1) -> String {
    let mut text = String::new();
    for layout in &table.layouts() {
        write_table(&mut text, table, layout);
    }
    text.push_str("<ul class=\"legend\">");
    for line in table.legend() {
        let _ = write!(text, "<li>{}</li>", escape(&line));
    }
    text.push_str("<li>p: two-sided paired bootstrap against the full-label cell.</li></ul>\n");
    text
}

fn write_table(text: &mut String, table: &Table1, layout: &Layout) {
    let label = escape(layout.label);
    let _ = writeln!(
        text,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table 1, {label}\"><table class=\"table1\">\
         <caption>{}</caption><thead><tr><th class=\"left\" rowspan=\"2\" scope=\"col\">labels</th>\
         <th rowspan=\"2\" scope=\"col\">B</th>",
        escape(&layout.title())
    );
    for block in &layout.blocks {
        let unit = if block.metric == Metric::Dsc { "" } else { " (ml)" };
        let _ = write!(
            text,
            "<th colspan=\"{}\" scope=\"colgroup\">{} {}{unit}</th>",
            block.settings.len(),
            block.metric.title(),
            escape(block.group)
        );
    }
    text.push_str("</tr><tr>");
    for setting in layout.blocks.iter().flat_map(|block| &block.settings) {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(setting));
    }
    text.push_str("</tr></thead><tbody>\n");
    for (r, (labelling, batch_size)) in layout.rows.iter().enumerate() {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th><td>{batch_size}</td>", escape(labelling));
        for block in &layout.blocks {
            for (setting, entry) in block.settings.iter().zip(&block.entries[r]) {
                let find = |row: &&Table1Row| {
                    (row.label == layout.label && row.group == block.group)
                        && (row.cell.labelling == *labelling && row.cell.batch_size == *batch_size)
                        && row.cell.setting == *setting
                };
                let row = table.rows().iter().find(find).filter(|_| block.metric == Metric::Dsc);
                let p = row.and_then(|row| row.comparison.as_ref()).map_or(String::new(), |comparison| {
                    match comparison.p_value {
                        p if p < 0.001 => "<small>p &lt; 0.001</small>".into(),
                        p => format!("<small>p = {p:.3}</small>"),
                    }
                });
                let class = if entry.low { " class=\"low\"" } else { "" };
                let _ = write!(text, "<td{class}>{}{p}</td>", escape(&entry.text));
            }
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
}
