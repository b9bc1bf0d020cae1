//! The bytes of a file, decompressed if need be, with errors that say which file and what part of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::NiftiError;
use super::gzip::GzipMembers;

/// Deflate cannot do better than 1032:1, so a header that asks for more than that lies.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Bytes to read, in order.
pub(super) struct Source<'a> {
    path: PathBuf,
    bytes: Bytes<'a>,
    /// Bytes in the file, as stored.
    stored: u64,
    /// Bytes handed out so far.
    position: u64,
}

enum Bytes<'a> {
    Plain(Box<dyn BufRead + 'a>),
    Gzip(Box<GzipMembers<Box<dyn BufRead + 'a>>>),
}

impl Source<'static> {
    /// The content of a file.
    pub(super) fn open(path: &Path) -> Result<Self, NiftiError> {
        let io = |source| io_error(path, source);
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(io(io::Error::from(ErrorKind::IsADirectory)));
        }
        Source::new(path, Box::new(BufReader::with_capacity(1 << 16, file)), metadata.len())
    }
}

impl<'a> Source<'a> {
    /// Bytes in memory; `path` only names them in errors.
    pub(super) fn from_bytes(path: &Path, bytes: &'a [u8]) -> Result<Self, NiftiError> {
        Self::new(path, Box::new(bytes), bytes.len() as u64)
    }

    fn new(path: &Path, mut reader: Box<dyn BufRead + 'a>, stored: u64) -> Result<Self, NiftiError> {
        let gzip = reader.fill_buf().map_err(|e| io_error(path, e))?.starts_with(&[0x1f, 0x8b]);
        let bytes = if gzip { Bytes::Gzip(Box::new(GzipMembers::new(reader))) } else { Bytes::Plain(reader) };
        Ok(Self { path: path.to_path_buf(), bytes, stored, position: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_gzip(&self) -> bool {
        matches!(self.bytes, Bytes::Gzip(_))
    }

    /// Bytes handed out so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// An upper limit of how many bytes the whole source can hold; exact when not compressed.
    pub(super) fn at_most(&self) -> u64 {
        if self.is_gzip() { self.stored.saturating_mul(MAX_DEFLATE_RATIO) } else { self.stored }
    }

    /// Fills `buffer` as far as there are bytes; how many it got.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, NiftiError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            let read = match &mut self.bytes {
                Bytes::Plain(reader) => reader.read(rest),
                Bytes::Gzip(reader) => reader.read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.stream_error(e, filled as u64)),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }

    /// Fills all of `buffer`; `part` says what it holds.
    pub(super) fn fill_exact(&mut self, buffer: &mut [u8], part: &'static str) -> Result<(), NiftiError> {
        let found = self.fill(buffer)?;
        if found < buffer.len() {
            return Err(self.truncated(part, buffer.len() as u64, found as u64));
        }
        Ok(())
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, count: u64, part: &'static str) -> Result<(), NiftiError> {
        let mut scratch = [0; 4096];
        let mut left = count;
        while left > 0 {
            let step = left.min(scratch.len() as u64) as usize;
            let found = self.fill(&mut scratch[..step])?;
            left -= found as u64;
            if found < step {
                return Err(self.truncated(part, count, count - left));
            }
        }
        Ok(())
    }

    /// Reads to the end, which is what checks a gzip stream's CRC; how many bytes were left.
    pub(super) fn drain(&mut self) -> Result<u64, NiftiError> {
        let mut scratch = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            let found = self.fill(&mut scratch)?;
            bytes += found as u64;
            if found < scratch.len() {
                let behind = match &self.bytes {
                    Bytes::Plain(_) => 0,
                    Bytes::Gzip(members) => members.trailing_bytes(),
                };
                return Ok(bytes + behind);
            }
        }
    }

    pub(super) fn truncated(&self, part: &'static str, expected: u64, found: u64) -> NiftiError {
        NiftiError::Truncated { path: self.path.clone(), part, expected, found }
    }

    fn stream_error(&self, source: io::Error, filled: u64) -> NiftiError {
        match source.kind() {
            ErrorKind::UnexpectedEof => {
                let found = self.position + filled;
                NiftiError::Truncated {
                    path: self.path.clone(),
                    part: "gzip stream",
                    expected: found + 1,
                    found,
                }
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidData if self.is_gzip() => {
                NiftiError::Corrupt { path: self.path.clone(), detail: source.to_string() }
            }
            _ => io_error(&self.path, source),
        }
    }
}

/// An error of the operating system, with the file's name.
pub(super) fn io_error(path: &Path, source: io::Error) -> NiftiError {
    let path = path.to_path_buf();
    if source.kind() == ErrorKind::NotFound {
        NiftiError::MissingFile { path }
    } else {
        NiftiError::Io { path, source }
    }
}
