use rayon::prelude::*;

use crate::{
    DiceError, DiceTerms, Real, Target,
    shape::Chunk,
    target::{DenseMaps, Kind},
};

impl DiceTerms {
    /// Step 3, the voxel pass: writes ∂DL/∂p = a − b·y into `gradient`, `[B, C, I]`, in full.
    ///
    /// Masked and ignored voxels get exactly 0. The predictions are not needed.
    ///
    /// # Errors
    /// A target of another batch or number of classes than the terms, a slice that is not B·C·I long,
    /// labels outside of 0..C.
    pub fn write_gradient<T: Real>(&self, target: &Target<'_>, gradient: &mut [T]) -> Result<(), DiceError> {
        let shape = target.shape();
        let (expected, found) = ((self.batch, self.classes), (shape.batch(), shape.classes()));
        if expected != found {
            return Err(DiceError::ShapeMismatch { argument: "target", expected, found });
        }
        shape.check_maps("gradient", gradient.len())?;
        let results: Vec<_> = shape
            .chunks_mut(gradient)
            .into_par_iter()
            .map(|(chunk, mut maps)| self.write_chunk(target, &chunk, &mut maps))
            .collect();
        results.into_iter().collect()
    }

    fn write_chunk<T: Real>(
        &self,
        target: &Target<'_>,
        chunk: &Chunk,
        maps: &mut [&mut [T]],
    ) -> Result<(), DiceError> {
        let shape = target.shape();
        let mut codes = Vec::new();
        for voxels in chunk.blocks() {
            target.codes(chunk.b, &voxels, &mut codes)?;
            let here = voxels.start - chunk.voxels.start..voxels.end - chunk.voxels.start;
            for (c, map) in maps.iter_mut().enumerate() {
                let index = chunk.b * self.classes + c;
                let (a, b, row) = (self.a[index], self.b[index], self.row[index]);
                let out = &mut map[here.clone()];
                match target.kind() {
                    Kind::Labels(_) => write_labels(a, b, row as i32, &codes, out),
                    Kind::Dense(DenseMaps::F32(y)) => {
                        write_dense(a, b, &y[shape.map(chunk.b, row, &voxels)], &codes, out);
                    }
                    Kind::Dense(DenseMaps::F64(y)) => {
                        write_dense(a, b, &y[shape.map(chunk.b, row, &voxels)], &codes, out);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Hard labels: the derivative takes two values, and 0 where left out.
fn write_labels<T: Real>(a: f64, b: f64, row: i32, codes: &[i32], out: &mut [T]) {
    let (outside, inside) = (T::from_f64(a), T::from_f64(a - b));
    for (out, &code) in out.iter_mut().zip(codes) {
        let value = if code == row { inside } else { outside };
        *out = if code >= 0 { value } else { T::ZERO };
    }
}

fn write_dense<T: Real, U: Real>(a: f64, b: f64, y: &[U], codes: &[i32], out: &mut [T]) {
    for ((out, y), &code) in out.iter_mut().zip(y).zip(codes) {
        *out = if code >= 0 { T::from_f64(a - b * y.to_f64()) } else { T::ZERO };
    }
}
