//! The viewer: the shown cases in three planes and in 3-D, by NiiVue, out of the page's own data.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::qualitative::{image_path, prediction_path, shown_trainings, truth_path};
use crate::base64::base64;
use crate::html::{Page, escape};
use crate::{ReportError, RunRecord, ShownCase};

/// NiiVue 0.69.0 (BSD-2-Clause), `dist/niivue.umd.js` of its npm package; see `assets/LICENSE_NIIVUE`.
const NIIVUE: &[u8] = include_bytes!("../../assets/niivue-0.69.0.umd.js.gz");
const LICENCE: &str = include_str!("../../assets/LICENSE_NIIVUE");
const SCRIPT: &str = include_str!("../../assets/viewer.js");
const STYLE: &str = include_str!("../../assets/page.css");

const MARKUP: &str = "<noscript><p class=\"needs-script\">The viewer needs JavaScript and WebGL; the pictures of the \
    report do not.</p></noscript>\n<div class=\"viewer-controls\">\n\
    <label>Case<select id=\"viewer-case\"></select></label>\n\
    <label>Prediction of<select id=\"viewer-prediction\"></select></label>\n\
    <label>View<select id=\"viewer-view\"><option value=\"3\">three planes and 3-D</option><option value=\"0\">axial\
    </option><option value=\"1\">coronal</option><option value=\"2\">sagittal</option><option value=\"4\">3-D</option>\
    </select></label>\n\
    <label>Opacity<input id=\"viewer-opacity\" type=\"range\" min=\"0\" max=\"100\" value=\"55\"></label>\n\
    <label>Truth (blue)<select id=\"viewer-truth\"><option value=\"1\">shown</option><option value=\"0\">hidden\
    </option></select></label>\n</div>\n\
    <div class=\"stage\"><canvas id=\"viewer-canvas\" tabindex=\"0\" role=\"img\" aria-label=\"The case in three planes \
    and in 3-D: image, truth in blue, prediction in orange\"></canvas></div>\n\
    <p class=\"facts\" id=\"viewer-state\" role=\"status\">starting</p>\n";

/// The viewer as a page of its own; none where no images were kept.
pub(super) fn page(results: &Path, record: &RunRecord) -> Result<Option<String>, ReportError> {
    if record.shown.is_empty() {
        return Ok(None);
    }
    let mut page = Page::new(&format!("{}: dicewise viewer", record.experiment), STYLE);
    page.push(&format!(
        "<header><h1>{}: viewer</h1><p class=\"facts\"><a href=\"index.html#cases\">Back to the report</a></p></header>\n\
         <main>\n",
        escape(&record.experiment)
    ));
    push(&mut page, results, record)?;
    page.push("</main>\n");
    page.push(super::explorer::FOOTER);
    Ok(Some(page.finish()))
}

/// Appends the viewer to a page.
pub(super) fn push(page: &mut Page, results: &Path, record: &RunRecord) -> Result<(), ReportError> {
    page.push("<h2 id=\"viewer\">Viewer</h2>\n");
    page.push(MARKUP);
    page.push(&format!(
        "<details><summary>Licence of NiiVue, which draws the viewer</summary><pre tabindex=\"0\">{}</pre></details>\n",
        escape(LICENCE)
    ));
    let cases: Vec<Value> = record
        .shown_in_order()
        .into_iter()
        .map(|shown| case(results, record, shown))
        .collect::<Result<_, _>>()?;
    page.push(&format!(
        "<script type=\"application/json\" id=\"viewer-data\">{}</script>\n",
        json!({ "cases": cases }).to_string().replace('<', "\\u003c")
    ));
    page.allow_viewer();
    let mut niivue = String::new();
    GzDecoder::new(NIIVUE).read_to_string(&mut niivue).expect("the embedded file is whole");
    page.script(&niivue);
    page.script(SCRIPT);
    Ok(())
}

fn case(results: &Path, record: &RunRecord, shown: &ShownCase) -> Result<Value, ReportError> {
    let read = |path: PathBuf| -> Result<String, ReportError> {
        let bytes = fs::read(&path).map_err(|source| ReportError::Read { path, source })?;
        Ok(base64(&bytes))
    };
    // Labels that overlap have a file each: the partial one, else the first, is shown.
    let partial = record.partial.as_ref();
    let label =
        record.labels.iter().find(|l| partial.is_some_and(|p| p.label == l.name)).or(record.labels.first());
    let Some(label) = label else { return Ok(Value::Null) };
    let mut predictions = Vec::new();
    for training in shown_trainings(record, shown) {
        let data = read(prediction_path(results, training, &shown.case, label))?;
        let name =
            format!("{} labels, {}, B = {}", training.labelling, training.setting, training.batch_size);
        predictions.push(json!({ "name": name, "data": data }));
    }
    Ok(json!({
        "name": format!("{}, {}: {}", shown.group, shown.rank, shown.case),
        "image": read(image_path(results, &shown.case))?,
        "truth": read(truth_path(results, &shown.case, label))?,
        "predictions": predictions,
    }))
}
