//! The figure of DSC over ε: marks stand where the numbers are.

mod scores;

use dicewise_report::*;
use scores::experiment;

/// Pixels of exactly `colour`, in units of the figure (two pixels each), above the legend.
fn pixels_of(png: &[u8], colour: Colour) -> Vec<(f32, f32)> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    let width = info.width as usize;
    let pixels = rgb.chunks(3).enumerate().filter(|(i, pixel)| *pixel == colour.0 && i / width < 2 * 320);
    pixels.map(|(i, _)| ((i % width) as f32 / 2.0, (i / width) as f32 / 2.0)).collect()
}

#[test]
fn the_curve_goes_through_the_means_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epsilon.png");
    let multiples: Vec<(String, f64)> =
        [("low", 0.01), ("one", 1.0), ("high", 100.0)].map(|(name, x)| (name.to_owned(), x)).to_vec();
    let template = experiment().remove(0);
    let score = |setting: &str, group: &str, case: &str, dsc: f64| CaseScore {
        labelling: "partial".into(),
        setting: setting.into(),
        group: group.into(),
        case: case.into(),
        dsc: Some(dsc),
        ..template.clone()
    };
    let scores: Vec<CaseScore> = [("low", 0.9), ("one", 0.5), ("high", 0.1)]
        .into_iter()
        .flat_map(|(setting, dsc)| {
            [("G1", "a", 0.95), ("G0", "b", dsc - 0.05), ("G0", "c", dsc + 0.05)]
                .map(|(group, case, dsc)| score(setting, group, case, dsc))
        })
        .collect();
    let groups = ["G1".to_owned(), "G0".to_owned()];
    write_epsilon_figure(&scores, ("partial", "whole"), &multiples, &groups, &path).unwrap();
    let png = std::fs::read(&path).unwrap();
    // The plot spans ε from 10⁻² at 78 to 10² at 78 + 520, DSC from 1 at 40 to 0 at 40 + 280.
    let (left, right) = (78.0, 598.0);
    let near = |x: f32, y: f32, colour| {
        pixels_of(&png, colour).iter().any(|p| (p.0 - x).abs() < 4.0 && (p.1 - y).abs() < 4.0)
    };
    assert!(near((left + right) / 2.0, 40.0 + 280.0 * 0.5, Colour::VERMILLION));
    assert!(near(right - 1.0, 40.0 + 280.0 * 0.9, Colour::VERMILLION));
    assert!(near(left + 1.0, 40.0 + 280.0 * 0.1, Colour::VERMILLION));
    assert!(!near(right - 1.0, 40.0 + 280.0 * 0.5, Colour::VERMILLION));
    let always = pixels_of(&png, Colour::BLUE);
    assert!(!always.is_empty() && always.iter().all(|p| (p.1 - 54.0).abs() < 5.0), "{always:?}");
    let nothing = write_epsilon_figure(&scores, ("full", "whole"), &multiples, &groups, &path);
    assert!(nothing.unwrap_err().to_string().contains("no setting"));
}
