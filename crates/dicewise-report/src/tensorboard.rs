//! TensorBoard event files: TFRecord framing around a few fields of the `Event` message.
//!
//! ```text
//! record = length: u64, mask(crc32c(length)): u32, data, mask(crc32c(data)): u32          little-endian
//! mask(c) = rotate_right(c, 15) + 0xa282ead8
//! Event   { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary }
//! Summary { 1: repeated Value { 1: string tag, 2: float simple_value } }
//! ```
//!
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, tensorflow/core/lib/io/record_writer.h)

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{LogRow, METRICS_HEADER, ReportError};

/// An event file that a training appends to.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Creates `events.out.tfevents.SECONDS.dicewise` in a folder. A training that goes on makes another one: TensorBoard
    /// reads all files of a folder.
    ///
    /// # Errors
    /// [`ReportError::Write`] if the file cannot be written.
    pub fn create(folder: &Path) -> Result<Self, ReportError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path =
            folder.join(format!("events.out.tfevents.{}.{:09}.dicewise", now.as_secs(), now.subsec_nanos()));
        let file = File::create(&path).map_err(|source| ReportError::Write { path: path.clone(), source })?;
        let mut events = Self { path, file: BufWriter::new(file) };
        events.append(&version_event(now.as_secs_f64()))?;
        Ok(events)
    }

    /// Appends everything that one iteration measured, where a reader sees it at once.
    ///
    /// # Errors
    /// [`ReportError::Write`] if the file cannot be written.
    pub fn write(&mut self, row: &LogRow) -> Result<(), ReportError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.append(&scalar_event(now.as_secs_f64(), row))
    }

    fn append(&mut self, event: &[u8]) -> Result<(), ReportError> {
        let written = self.file.write_all(&record(event)).and_then(|()| self.file.flush());
        written.map_err(|source| ReportError::Write { path: self.path.clone(), source })
    }
}

fn version_event(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_bytes(&mut event, 3, b"brain.Event:2");
    event
}

fn scalar_event(wall_time: f64, row: &LogRow) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in METRICS_HEADER.iter().zip(row.fields()).skip(1).filter(|(_, value)| !value.is_nan()) {
        let mut scalar = Vec::new();
        put_bytes(&mut scalar, 1, tag.as_bytes());
        put_key(&mut scalar, 2, 5);
        scalar.extend((value as f32).to_le_bytes());
        put_bytes(&mut summary, 1, &scalar);
    }
    let mut event = Vec::new();
    put_double(&mut event, 1, wall_time);
    put_key(&mut event, 2, 0);
    put_varint(&mut event, row.iteration as u64);
    put_bytes(&mut event, 5, &summary);
    event
}

/// Field number and wire type: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
fn put_key(message: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(message, field << 3 | wire_type);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn put_double(message: &mut Vec<u8>, field: u64, value: f64) {
    put_key(message, field, 1);
    message.extend(value.to_le_bytes());
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(message, field, 2);
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

fn record(data: &[u8]) -> Vec<u8> {
    let masked = |bytes: &[u8]| crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// CRC-32C (Castagnoli), reflected polynomial 0x82f63b78; bit by bit, since records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4, and the check value of the CRC catalogue.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn long_numbers_are_split_into_groups_of_seven_bits() {
        // 300 = 0b10_0101100: the example of protobuf's documentation.
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
    }
}
