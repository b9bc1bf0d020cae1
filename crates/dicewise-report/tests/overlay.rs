//! The overlay figure, looked at pixel by pixel.

use dicewise_report::*;

/// A decoded PNG.
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    fn of(figure: &OverlayFigure) -> Self {
        let png = figure.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        Self { width: info.width as usize, height: info.height as usize, rgb }
    }

    fn at(&self, x: usize, y: usize) -> Colour {
        let i = (y * self.width + x) * 3;
        Colour([self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]])
    }

    /// Bounds `[x0, y0, x1, y1]` (inclusive) of the pixels of one colour above the legend.
    fn bounds(&self, colour: Colour) -> Option<[usize; 4]> {
        let all = (0..self.height - 46).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        all.filter(|&(x, y)| self.at(x, y) == colour).fold(None, |bounds, (x, y)| {
            let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x, y]);
            Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
        })
    }
}

const SIDE: usize = 16;

/// A grey ramp from left to right.
fn ramp() -> Vec<f32> {
    (0..SIDE * SIDE).map(|i| (i % SIDE) as f32).collect()
}

/// A square mask from (x, y), `side` wide.
fn square(x: usize, y: usize, side: usize) -> Vec<bool> {
    let inside = |i: usize| (x..x + side).contains(&(i % SIDE)) && (y..y + side).contains(&(i / SIDE));
    (0..SIDE * SIDE).map(inside).collect()
}

fn tile<'a>(grey: &'a [f32], contours: Vec<Contour<'a>>) -> Option<Tile<'a>> {
    Some(Tile { grey, width: SIDE, height: SIDE, contours, note: None })
}

fn figure<'a>(tiles: Vec<Option<Tile<'a>>>) -> OverlayFigure<'a> {
    OverlayFigure {
        columns: vec![String::new(); tiles.len()],
        rows: vec![OverlayRow { caption: String::new(), tiles }],
        legend: OverlayFigure::truth_and_prediction(),
        crop_margin: None,
        tile_pixels: 160,
    }
}

#[test]
fn contours_run_along_the_edges_of_the_mask() {
    let (grey, mask) = (ramp(), square(4, 6, 3));
    let picture = Picture::of(&figure(vec![tile(&grey, vec![Contour::prediction(&mask)])]));
    // The tile begins at (10, 48), a voxel is 10 pixels, the line 2 pixels thick: one on each side of the edge.
    let [x0, y0, x1, y1] = picture.bounds(Colour::ORANGE).unwrap();
    assert_eq!([x0, y0, x1, y1], [10 + 40 - 1, 48 + 60 - 1, 10 + 70, 48 + 90]);
    for along in 0..30 {
        assert_eq!(picture.at(x0 + along, y0), Colour::ORANGE);
        assert_eq!(picture.at(x0, y0 + along), Colour::ORANGE);
    }
    // Nothing is drawn inside: the middle shows its grey value, the ramp's 5 of 15.
    assert_eq!(picture.at(10 + 55, 48 + 75), Colour([85; 3]));
}

#[test]
fn a_prediction_equal_to_the_truth_leaves_the_truth_visible() {
    let (grey, mask) = (ramp(), square(4, 6, 3));
    let contours = vec![Contour::target(&mask), Contour::prediction(&mask)];
    let picture = Picture::of(&figure(vec![tile(&grey, contours)]));
    let across: Vec<Colour> = (46..54).map(|dx| picture.at(dx, 48 + 75)).collect();
    assert!(across.contains(&Colour::ORANGE) && across.contains(&Colour::SKY_BLUE), "{across:?}");
}

#[test]
fn masks_that_touch_the_border_are_closed_and_stay_in_their_tile() {
    let (grey, mask) = (ramp(), square(0, 0, SIDE));
    let picture = Picture::of(&figure(vec![tile(&grey, vec![Contour::target(&mask)])]));
    assert_eq!(picture.bounds(Colour::SKY_BLUE), Some([10, 48, 10 + 159, 48 + 159]));
}

#[test]
fn the_crop_follows_the_truth_and_is_the_same_for_all_tiles_of_a_row() {
    let (grey, target, far) = (ramp(), square(8, 8, 2), square(0, 0, 1));
    let tiles = vec![
        tile(&grey, vec![Contour::target(&target)]),
        tile(&grey, vec![Contour::target(&target), Contour::prediction(&far)]),
    ];
    let cropped = OverlayFigure { crop_margin: Some(3), ..figure(tiles) };
    let picture = Picture::of(&cropped);
    // Shown are voxels 5..13, 20 pixels each: the truth begins 60 pixels into both tiles, 10 pixels apart.
    let [x0, y0, _, y1] = picture.bounds(Colour::SKY_BLUE).unwrap();
    assert_eq!((x0, y0, y1), (10 + 60 - 3, 48 + 60 - 3, 48 + 100 + 2));
    assert_eq!(picture.at(10 + 170 + 60, 48 + 80), Colour::SKY_BLUE);
    assert_eq!(picture.bounds(Colour::ORANGE), None);
}

#[test]
fn captions_notes_and_missing_tiles_are_drawn() {
    let (grey, mask) = (ramp(), square(4, 6, 3));
    let bare = figure(vec![tile(&grey, vec![Contour::target(&mask)]), None]);
    let mut captioned = bare.clone();
    captioned.columns[1] = "I_ε".into();
    captioned.rows[0].caption = "partial\nB = 2".into();
    captioned.rows[0].tiles[0].as_mut().unwrap().note = Some("DSC 0.67".into());
    let (bare, captioned) = (Picture::of(&bare), Picture::of(&captioned));
    let indent = captioned.width - bare.width;
    assert!(indent > 50, "the caption of the row needs room");
    let dark = |picture: &Picture, x: std::ops::Range<usize>, y: std::ops::Range<usize>| {
        y.flat_map(|y| x.clone().map(move |x| (x, y))).filter(|&(x, y)| picture.at(x, y).0[0] < 100).count()
    };
    assert_eq!(dark(&bare, 180..340, 0..48), 0);
    assert!(dark(&captioned, 180 + indent..340 + indent, 0..48) > 20);
    assert!(dark(&captioned, 0..indent, 48..208) > 100);
    // Not run: pale, with words.
    assert_eq!(bare.at(185, 60), Colour([238; 3]));
    // The note is white on a darkened corner.
    let corner = (48 + 130..48 + 160).flat_map(|y| (10..100).map(move |x| (x + indent, y)));
    assert!(corner.filter(|&(x, y)| captioned.at(x, y) == Colour([255; 3])).count() > 20);
}

#[test]
fn the_same_figure_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay.png");
    let (grey, mask) = (ramp(), square(4, 6, 3));
    let figure = figure(vec![tile(&grey, vec![Contour::target(&mask)])]);
    figure.write_png(&path).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), figure.to_png().unwrap());
}

#[test]
fn slices_without_contrast_or_values_are_drawn_black() {
    for value in [3.0, f32::NAN, f32::INFINITY] {
        let grey = vec![value; SIDE * SIDE];
        assert_eq!(Picture::of(&figure(vec![tile(&grey, vec![])])).at(90, 120), Colour::BLACK);
    }
}

#[test]
fn figures_that_do_not_fit_together_are_refused() {
    let (grey, mask) = (ramp(), square(4, 6, 3));
    let problem = |figure: &OverlayFigure| figure.to_png().unwrap_err().to_string();
    assert!(problem(&figure(vec![])).contains("no columns"));
    let short = problem(&figure(vec![tile(&grey[1..], vec![])]));
    assert!(short.contains("the slice of row 0, column 0 has 255 pixels"), "{short}");
    let mask = problem(&figure(vec![None, tile(&grey, vec![Contour::target(&mask[1..])])]));
    assert!(mask.contains("a mask of row 0, column 1"), "{mask}");
    let mut uneven = figure(vec![tile(&grey, vec![])]);
    uneven.columns.push("I".into());
    assert!(problem(&uneven).contains("1 tiles, 2 columns"), "{}", problem(&uneven));
    let half = Tile { grey: &grey, width: SIDE / 2, height: SIDE * 2, contours: vec![], note: None };
    assert!(problem(&figure(vec![tile(&grey, vec![]), Some(half)])).contains("slices of"));
    let empty = Tile { grey: &[], width: 0, height: 5, contours: vec![], note: None };
    assert!(problem(&figure(vec![Some(empty)])).contains("has no pixels"));
    let tiny = OverlayFigure { tile_pixels: 0, ..figure(vec![tile(&grey, vec![])]) };
    assert!(problem(&tiny).contains("tile_pixels is 0"));
    let mut huge = OverlayFigure { tile_pixels: 4096, ..figure(vec![tile(&grey, vec![])]) };
    huge.rows = vec![huge.rows[0].clone(); 6];
    assert!(problem(&huge).contains("show fewer rows"), "{}", problem(&huge));
}
