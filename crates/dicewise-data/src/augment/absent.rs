//! A field of view that ends before a structure.

use crate::{Image, LabelMap};

/// Blanks every slice across y that holds one of `values`, in images and label map, and returns whether there was one.
///
/// Images are set to 0, which is what padding is after z-scoring, and the label map to background: the structure is then
/// really absent, as on a scan that stops short of it. With any one of the axes a structure could be cut away; along y,
/// front to back, the parts of a hippocampus follow each other.
pub fn hide(values: &[u16], images: &mut [Image], labels: &mut LabelMap) -> bool {
    let [nx, ny, _] = labels.grid.shape;
    let row = |index: usize| index / nx % ny;
    let mut hidden = vec![false; ny];
    for (index, label) in labels.data.iter().enumerate() {
        hidden[row(index)] |= values.contains(label);
    }
    for image in images {
        image
            .data
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| hidden[row(*index)])
            .for_each(|(_, x)| *x = 0.0);
    }
    labels.data.iter_mut().enumerate().filter(|(index, _)| hidden[row(*index)]).for_each(|(_, y)| *y = 0);
    hidden.contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Volume};

    #[test]
    fn slices_with_the_structure_are_blank_and_the_others_as_they_were() {
        let grid = Grid::axis_aligned([2, 4, 3], [1.0; 3]);
        let mut labels = Volume::new(grid.clone(), vec![0_u16; 24]);
        let image = Volume::new(grid, (1..=24).map(|x| x as f32).collect());
        for (x, y, z, value) in [(0, 0, 0, 1), (1, 1, 2, 1), (0, 1, 0, 2), (1, 3, 1, 2)] {
            let index = labels.index(x, y, z);
            labels.data[index] = value;
        }
        let mut images = [image.clone()];
        assert!(hide(&[2], &mut images, &mut labels));
        for (x, y, z) in (0..24).map(|i| (i % 2, i / 2 % 4, i / 8)) {
            let index = labels.index(x, y, z);
            let expected = if [1, 3].contains(&y) { 0.0 } else { image.data[index] };
            assert_eq!(images[0].data[index], expected);
            assert_eq!(labels.data[index], u16::from((x, y, z) == (0, 0, 0)));
        }
        assert!(!hide(&[2], &mut images, &mut labels));
    }
}
