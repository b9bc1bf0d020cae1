//! A prepared case, its voxels in memory, or in a file where all cases together are too large.
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicewise_data::augment::{Patch, Target};
use dicewise_data::folds::Member;
use dicewise_data::preprocess::Prepared;
use dicewise_data::{Grid, LabelMap, Volume};

use crate::lock::half_written;

/// A case ready for training and scoring.
pub(crate) struct PreparedCase {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) group: String,
    /// The grid the case came on.
    pub(crate) original: Grid,
    /// That of its patch.
    pub(crate) working: Grid,
    pub(crate) centres: Centres,
    /// Which labels of the target are declared annotated.
    pub(crate) annotated: Vec<bool>,
    voxels: Store,
}

/// Voxels of the working grid that crops lie about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Centres {
    /// Of the image: the centroid of its nonzero voxels.
    pub(crate) image: [usize; 3],
    /// Of the true, complete labels; none where there are none.
    pub(crate) truth: Option<[usize; 3]>,
}

/// The voxels of a prepared case.
#[derive(Debug, PartialEq)]
pub(crate) struct Voxels {
    /// Channels and target on the working grid; the labels are those of the data.
    pub(crate) patch: Patch,
    /// The true label map on the grid the case came on.
    pub(crate) truth: LabelMap,
}

enum Store {
    Memory(Arc<Voxels>),
    /// Channels, target and truth, one after the other, little-endian; and how many there are of each.
    File {
        path: PathBuf,
        channels: usize,
        soft: Option<Vec<f32>>,
    },
}

/// Bytes that prepared cases may still take in memory.
pub(crate) struct Room(AtomicUsize);

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

impl PreparedCase {
    /// Keeps a case in memory while there is room, otherwise in a file of `folder`, which is made if need be. Processes
    /// may share that folder if they prepare cases alike.
    pub(crate) fn new(
        [id, subject, group]: [String; 3],
        [original, working]: [Grid; 2],
        centres: Centres,
        annotated: Vec<bool>,
        voxels: Voxels,
        (room, folder): (&Room, &Path),
    ) -> io::Result<Self> {
        let soft = match &voxels.patch.target {
            Target::Soft { outside, .. } => Some(outside.clone()),
            Target::Labels(_) => None,
        };
        let channels = voxels.patch.channels.len();
        let maps = channels + soft.as_ref().map_or(1, Vec::len);
        let voxels = if room.take(4 * maps * working.len() + 2 * original.len()) {
            Store::Memory(Arc::new(voxels))
        } else {
            std::fs::create_dir_all(folder)?;
            let path = folder.join(&id);
            // Whole files only have this name, so one that is there is another process's, and what this one would write.
            if !path.exists() {
                let half = half_written(&path);
                write(&half, &voxels)?;
                std::fs::rename(&half, &path)?;
            }
            Store::File { path, channels, soft }
        };
        Ok(Self { id, subject, group, original, working, centres, annotated, voxels })
    }

    /// Its voxels.
    pub(crate) fn voxels(&self) -> io::Result<Arc<Voxels>> {
        let (path, channels, soft) = match &self.voxels {
            Store::Memory(voxels) => return Ok(voxels.clone()),
            Store::File { path, channels, soft } => (path, *channels, soft),
        };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut file = BufReader::new(File::open(path).map_err(named)?);
        let n = self.working.len();
        let mut maps = |count: usize| -> io::Result<Vec<Vec<f32>>> {
            (0..count).map(|_| read(&mut file, n, f32::from_le_bytes).map_err(named)).collect()
        };
        let channels = maps(channels)?;
        let target = match soft {
            Some(outside) => Target::Soft { maps: maps(outside.len())?, outside: outside.clone() },
            None => Target::Labels(read(&mut file, n, u16::from_le_bytes).map_err(named)?),
        };
        let truth = read(&mut file, self.original.len(), u16::from_le_bytes).map_err(named)?;
        let patch = Patch { shape: self.working.shape, channels, target, anchor: None };
        Ok(Arc::new(Voxels { patch, truth: Volume::new(self.original.clone(), truth) }))
    }

    /// The case as preprocessing left it, without labels.
    pub(crate) fn prepared(&self, voxels: &Voxels) -> Prepared {
        let image = |data: &Vec<f32>| Volume::new(self.working.clone(), data.clone());
        Prepared {
            channels: voxels.patch.channels.iter().map(image).collect(),
            labels: None,
            original: self.original.clone(),
            content_mm: None,
        }
    }
}

impl Member for PreparedCase {
    fn id(&self) -> &str {
        &self.id
    }
    fn subject(&self) -> &str {
        &self.subject
    }
    fn group(&self) -> Option<&str> {
        Some(&self.group)
    }
}

fn write(path: &Path, voxels: &Voxels) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut floats = |maps: &[Vec<f32>]| -> io::Result<()> {
        maps.iter().flatten().try_for_each(|x| file.write_all(&x.to_le_bytes()))
    };
    floats(&voxels.patch.channels)?;
    let labels = match &voxels.patch.target {
        Target::Soft { maps, .. } => {
            floats(maps)?;
            &[]
        }
        Target::Labels(labels) => labels.as_slice(),
    };
    labels.iter().chain(&voxels.truth.data).try_for_each(|label| file.write_all(&label.to_le_bytes()))?;
    file.flush()
}

fn read<T, const N: usize>(
    file: &mut impl Read,
    count: usize,
    value: fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    let mut bytes = vec![0; N * count];
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_the_same_from_a_file_as_from_memory() {
        let folder = tempfile::tempdir().unwrap();
        let prepared = folder.path().join("prepared");
        let (original, working) =
            (Grid::axis_aligned([3, 2, 2], [1.0; 3]), Grid::axis_aligned([2; 3], [2.0; 3]));
        let map = |step: f32| (0..8).map(|i| i as f32 * step).collect::<Vec<f32>>();
        let targets = [
            Target::Labels(vec![0, 1, 2, 3, 400, 65_535, 6, 7]),
            Target::Soft { maps: vec![map(0.1), map(0.05)], outside: vec![1.0, 0.0] },
        ];
        for target in targets {
            let voxels = || Voxels {
                patch: Patch {
                    shape: [2; 3],
                    channels: vec![map(1.5), map(-2.0), map(0.0)],
                    target: target.clone(),
                    anchor: None,
                },
                truth: Volume::new(original.clone(), (0..12).collect()),
            };
            // The first has room, the second does not.
            let room = Room::new(4 * 5 * 8 + 2 * 12);
            let case = |id: &str| {
                let names = [id, "subject", "group"].map(str::to_owned);
                let centres = Centres { image: [1; 3], truth: None };
                let grids = [original.clone(), working.clone()];
                PreparedCase::new(names, grids, centres, vec![true], voxels(), (&room, &prepared)).unwrap()
            };
            let (first, second) = (case("a"), case("b"));
            assert!(matches!((&first.voxels, &second.voxels), (Store::Memory(_), Store::File { .. })));
            assert_eq!(*first.voxels().unwrap(), voxels());
            assert_eq!(second.voxels().unwrap(), first.voxels().unwrap());
            // Another process has made it already.
            let made = std::fs::metadata(prepared.join("b")).unwrap().modified().unwrap();
            assert_eq!(case("b").voxels().unwrap(), first.voxels().unwrap());
            assert_eq!(std::fs::metadata(prepared.join("b")).unwrap().modified().unwrap(), made);
            assert_eq!(std::fs::read_dir(&prepared).unwrap().count(), 1, "half-written files are left");
            std::fs::write(prepared.join("b"), [0; 40]).unwrap();
            let error = second.voxels().unwrap_err().to_string();
            assert!(error.contains("prepared") && error.contains('b'), "{error}");
            std::fs::remove_dir_all(&prepared).unwrap();
        }
    }
}
