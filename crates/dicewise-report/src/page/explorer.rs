//! The explorer: what Φ and ε do, before any training.

use std::fmt::Write;

use dicewise::explain::{Explanation, IGNORES_BELOW, LEARNS_FROM, Preset, Scenario, Verdict};
use dicewise::{DiceError, MissingLabels, MissingRule, Partition, Shape};
use serde_json::{Map, Value, json};

use crate::base64::base64;
use crate::figure::partitions_chart;
use crate::html::{Page, escape};

/// `dicewise-web`, built by `cargo xtask wasm`.
const WASM: &[u8] = include_bytes!("../../assets/dicewise.wasm");
const SCRIPT: &str = include_str!("../../assets/explorer.js");
const STYLE: &str = include_str!("../../assets/page.css");

/// The quantities that the WebAssembly module can be asked for, in its order.
const QUANTITIES: [(&str, &str); 8] = [
    ("present_inside", "object present, on its voxels (y = 1)"),
    ("present_outside", "object present, beside it (y = 0)"),
    ("empty", "label empty: the structure is absent"),
    ("missing", "label missing: nobody looked"),
    ("push_on_empty", "push on empty, in units of known background"),
    ("on_empty", ""),
    ("on_missing", ""),
    ("missing_is_background", ""),
];

/// Where the sliders stand at first.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplorerStart {
    /// A loss as another package ships it, or none for Φ and ε below.
    pub preset: Option<Preset>,
    /// Φ.
    pub partition: Partition,
    /// ε in voxels.
    pub epsilon: f64,
    /// Images in a batch.
    pub batch_size: usize,
    /// Classes.
    pub classes: usize,
    /// Voxels of an image.
    pub voxels: usize,
    /// Voxels of an object.
    pub object: f64,
}

impl Default for ExplorerStart {
    /// The scenario of `dicewise explain`, with a loss that ignores.
    fn default() -> Self {
        Self {
            preset: Some(Preset::MonaiDefault),
            partition: Partition::ImageWise,
            epsilon: 1e-5,
            batch_size: 2,
            classes: 3,
            voxels: 4096,
            object: 400.0,
        }
    }
}

/// The explorer as a page of its own: one file that works offline.
pub fn explorer_page(start: &ExplorerStart) -> String {
    let mut page = Page::new("dicewise explorer: what Φ and ε teach", STYLE);
    page.push(
        "<header><h1>What does a Dice loss teach where there is no ground truth?</h1>\
         <p class=\"lead\">Move Φ and ε, and see whether a map without ground truth is ignored or learnt to be \
         empty, before any training.</p></header>\n<main>\n",
    );
    push_explorer(&mut page, start);
    page.push("</main>\n");
    page.push(FOOTER);
    page.finish()
}

pub(super) const FOOTER: &str = "<footer><p>Made by dicewise, after Tilborghs et al., <cite>The Dice loss in the \
    context of missing or empty labels: introducing Φ and ε</cite>, MICCAI 2022. This page is one file: it loads \
    nothing and sends nothing.</p></footer>\n";

/// Appends the explorer to a page.
pub(super) fn push_explorer(page: &mut Page, start: &ExplorerStart) {
    page.push(&controls());
    page.push(RESULTS);
    page.push(&shipped_losses());
    let partitions = partitions_chart().scene.to_svg_inline();
    page.push(&format!(
        "<h3>The four partitions Φ</h3><figure><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Figure: partitions\">{partitions}</div><figcaption>A batch of two images and three classes. \
         Dice is computed once for each subset φ and then averaged: what shares a colour shares one Dice \
         (Figure 1 of the paper).</figcaption></figure>\n"
    ));
    page.push(&format!(
        "<script type=\"application/json\" id=\"explorer-data\">{}</script>\n",
        data(start).to_string().replace('<', "\\u003c")
    ));
    page.allow_webassembly();
    page.script(SCRIPT);
}

fn data(start: &ExplorerStart) -> Value {
    let presets: Map<String, Value> = Preset::ALL
        .into_iter()
        .enumerate()
        .map(|(index, preset)| (preset.name().to_owned(), preset_data(index, preset)))
        .collect();
    // What the scenario of `explain` predicts: 1/C everywhere, ½ with one class.
    let uninformed = if start.classes == 1 { 0.5 } else { 1.0 / start.classes as f64 };
    json!({
        "wasm": base64(WASM),
        "quantities": QUANTITIES.map(|(name, _)| name),
        "ignoresBelow": IGNORES_BELOW,
        "learnsFrom": LEARNS_FROM,
        "presets": presets,
        "initial": {
            "preset": start.preset.map_or("custom", Preset::name),
            "partition": partition_index(start.partition),
            "epsilon": start.epsilon,
            "batch": start.batch_size,
            "classes": start.classes,
            "voxels": start.voxels,
            "object": start.object,
            "overlap": uninformed,
            "mass": start.voxels as f64 * uninformed,
        },
    })
}

fn partition_index(partition: Partition) -> Option<usize> {
    Partition::ALL.iter().position(|&p| p == partition)
}

fn preset_data(index: usize, preset: Preset) -> Value {
    // An object size that no fixed ε has: where it comes back, ε is the size of the object.
    const OBJECT: f64 = 123.456;
    let Ok(Some(loss)) = preset.loss(3, OBJECT) else {
        return json!({ "special": true, "index": index, "label": preset.name() });
    };
    let epsilon = match loss.epsilon().denominator(1) {
        OBJECT => json!("object"),
        epsilon => json!(epsilon),
    };
    let missing = match loss.missing_labels() {
        MissingLabels::Leaf(MissingRule::Declared) => 1,
        MissingLabels::Marginal(MissingRule::Declared) => 2,
        MissingLabels::Leaf(MissingRule::Inferred) => 3,
        MissingLabels::Marginal(MissingRule::Inferred) => 4,
        _ => 0,
    };
    json!({
        "index": index,
        "label": preset.name(),
        "partition": partition_index(loss.partition()),
        "epsilon": epsilon,
        "denominatorOnly": loss.epsilon().numerator(1) == 0.0,
        "missing": missing,
        "foreground": u8::from(loss.class_weights().is_some()),
    })
}

/// A preset in words.
fn description(preset: Preset) -> &'static str {
    match preset {
        Preset::MonaiDefault => "MONAI DiceLoss()",
        Preset::MonaiBatch => "MONAI DiceLoss(batch=True)",
        Preset::MonaiNumeratorZero => "MONAI DiceLoss(smooth_nr=0)",
        Preset::MonaiGeneralized => "MONAI GeneralizedDiceLoss()",
        Preset::NnunetBatchDiceOff => "nnU-Net trainer, batch_dice off",
        Preset::NnunetBatchDice => "nnU-Net trainer, batch_dice on",
        Preset::NnunetSoftDiceConstructor => "nnU-Net SoftDiceLoss(), constructor defaults",
        Preset::Smp => "segmentation_models.pytorch DiceLoss",
        Preset::Keras => "Keras Dice()",
        Preset::Kornia => "kornia dice_loss(average=\"micro\")",
        Preset::PaperIEps => "the paper's I_ε (ε = v̂)",
        Preset::PaperLeaf => "leaf Dice as the paper ran it",
        Preset::PaperMarginal => "marginal Dice as the paper ran it",
        Preset::DeclaredLeafBatch => "declared leaf with BI (recommended for mixed data)",
        // A preset that is newer than this page.
        other => other.name(),
    }
}

fn controls() -> String {
    let mut text = String::from(
        "<noscript><p class=\"needs-script\">The sliders need JavaScript. The table of shipped losses and the figure \
         of partitions below do not.</p></noscript>\n<p class=\"needs-script\" id=\"explorer-waiting\" \
         aria-live=\"polite\">The sliders appear once the page's program has started.</p>\n\
         <div class=\"explorer\"><form id=\"explorer-form\" hidden aria-label=\"Loss and batch\">\n\
         <div class=\"row\"><label class=\"name\" for=\"preset\">Loss as shipped</label>\
         <select id=\"preset\" name=\"preset\"><option value=\"custom\">my own Φ and ε</option>",
    );
    for preset in Preset::ALL {
        let _ = write!(text, "<option value=\"{}\">{}</option>", preset.name(), escape(description(preset)));
    }
    text.push_str("</select></div>\n<fieldset><legend>Φ: one Dice for each …</legend>");
    for (index, (partition, one)) in
        Partition::ALL.iter().zip(["image and class", "image", "class", "batch"]).enumerate()
    {
        let checked = if index == 0 { " checked" } else { "" };
        let _ = write!(
            text,
            "<label><input type=\"radio\" name=\"partition\" value=\"{index}\"{checked}> {partition} \
             <small>({one})</small></label>"
        );
    }
    text.push_str("</fieldset>\n");
    let mut slider = |name: &str, label: &str, min: f64, max: f64, step: f64| {
        let _ = writeln!(
            text,
            "<div class=\"row\"><label class=\"name\" for=\"{name}\">{label} <output id=\"{name}-value\" \
             for=\"{name}\"></output></label><input type=\"range\" id=\"{name}\" name=\"{name}\" min=\"{min}\" \
             max=\"{max}\" step=\"{step}\"></div>"
        );
    };
    slider("epsilon", "Smoothing ε", -10.0, 8.0, 0.05);
    slider("batch", "Images in a batch, B", 1.0, 16.0, 1.0);
    slider("object", "Size of the object, v̂", 0.0, 6.5, 0.02);
    slider("overlap", "Predicted on the object (overlap)", 1.0, 100.0, 1.0);
    slider("mass", "Predicted on an image without it, Σp", -3.0, 7.0, 0.02);
    slider("voxels", "Voxels of an image", 2.0, 7.3, 0.02);
    slider("classes", "Classes, C", 1.0, 6.0, 1.0);
    text.push_str(
        "<div class=\"row\"><label class=\"name\" for=\"missing\">Missing labels</label>\
         <select id=\"missing\" name=\"missing\"><option value=\"0\">taken as empty</option>\
         <option value=\"1\">declared, leaf: left out</option>\
         <option value=\"2\">declared, marginal: added to the background</option>\
         <option value=\"3\">leaf, wherever a label is empty</option>\
         <option value=\"4\">marginal, wherever a label is empty</option></select></div>\n\
         <div class=\"row\"><label class=\"name\" for=\"where\">ε stands in</label>\
         <select id=\"where\" name=\"where\"><option value=\"both\">numerator and denominator</option>\
         <option value=\"denominator\">the denominator only</option></select></div>\n\
         <label><input type=\"checkbox\" name=\"foreground\"> leave the background class out</label>\n\
         <div><button type=\"button\" id=\"explorer-heuristic\">ε = v̂, the heuristic</button> \
         <button type=\"button\" id=\"explorer-uninformed\">predict 1/C everywhere</button></div>\n</form>\n",
    );
    text
}

const RESULTS: &str = "<div id=\"explorer-results\" hidden>\n\
    <p class=\"answer\" id=\"explorer-answer\" role=\"status\"></p>\n\
    <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: derivatives\"><table>\
    <caption>Mean derivative ∂L/∂p of a voxel; above 0 pushes the prediction down.</caption>\
    <thead><tr><th class=\"left\" scope=\"col\">map</th><th scope=\"col\">∂L/∂p (1/voxel)</th>\
    <th class=\"left\" scope=\"col\">verdict</th></tr></thead><tbody>\
    <tr><th scope=\"row\">object present, on its voxels (y = 1)</th><td id=\"explorer-present_inside\"></td><td></td></tr>\
    <tr><th scope=\"row\">object present, beside it (y = 0)</th><td id=\"explorer-present_outside\"></td><td></td></tr>\
    <tr><th scope=\"row\">label empty: the structure is absent</th><td id=\"explorer-empty\"></td>\
    <td class=\"left\" id=\"explorer-empty-word\"></td></tr>\
    <tr><th scope=\"row\">label missing: nobody looked</th><td id=\"explorer-missing\"></td>\
    <td class=\"left\" id=\"explorer-missing-word\"></td></tr>\
    <tr><th scope=\"row\">push on empty ÷ known background</th><td id=\"explorer-push_on_empty\"></td><td></td></tr>\
    </tbody></table></div>\n\
    <svg id=\"explorer-chart\" viewBox=\"0 0 680 340\" role=\"img\" aria-label=\"Derivative on an empty map and on known \
    background over ε, both axes logarithmic\" font-family=\"DejaVu Sans, Verdana, sans-serif\"></svg>\n\
    <p class=\"facts\" id=\"explorer-note\"></p>\n</div></div>\n";

/// What packages ship, computed when the page is written: it needs no script.
fn shipped_losses() -> String {
    let start = ExplorerStart::default();
    let (b, c, voxels, object) = (start.batch_size, start.classes, start.voxels, start.object);
    let mut text = format!(
        "<h3>What packages ship</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: losses \
         as shipped\"><table><caption>{b} images, {c} classes, {voxels} voxels, an object of {object} voxels, 1/C \
         predicted everywhere.</caption><thead><tr><th class=\"left\" scope=\"col\">loss</th><th scope=\"col\">∂L/∂p \
         on an empty map</th><th scope=\"col\">÷ known background</th><th class=\"left\" scope=\"col\">an empty map \
         …</th><th class=\"left\" scope=\"col\">a missing one …</th></tr></thead><tbody>\n"
    );
    let explained = |preset: Preset| -> Result<Explanation, DiceError> {
        preset.explain(&Scenario::new(Shape::new(b, c, voxels)?, object)?)
    };
    for preset in Preset::ALL {
        let Ok(explanation) = explained(preset) else { continue };
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{} <small>{}</small></th><td>{:.1e}</td><td>{:.1e}</td><td class=\"left\">{}</td>\
             <td class=\"left\">{}</td></tr>",
            escape(description(preset)),
            preset.name(),
            explanation.empty,
            explanation.push_on_empty(),
            word(explanation.on_empty),
            word(explanation.on_missing),
        );
    }
    text.push_str("</tbody></table></div>\n");
    text
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ignores => "is ignored",
        Verdict::InBetween => "is in between",
        Verdict::Learns => "is learnt as empty",
    }
}
