//! A gzip file of one or more members, read to its end.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decompresses every gzip member of `R`, checking each one's CRC and length.
///
/// Zero bytes after the last member are padding, which gzip(1) allows; anything else there is counted, not an error.
pub(super) struct GzipMembers<R: BufRead> {
    /// The member being read; None at the end.
    member: Option<GzDecoder<R>>,
    trailing_bytes: u64,
}

impl<R: BufRead> GzipMembers<R> {
    pub(super) fn new(compressed: R) -> Self {
        Self { member: Some(GzDecoder::new(compressed)), trailing_bytes: 0 }
    }

    /// Bytes after the last member that are no padding; known once everything is read.
    pub(super) fn trailing_bytes(&self) -> u64 {
        self.trailing_bytes
    }

    /// Goes on behind a finished member.
    fn next_member(&mut self, mut compressed: R) -> io::Result<()> {
        let ahead = compressed.fill_buf()?;
        if ahead.starts_with(&[0x1f]) {
            self.member = Some(GzDecoder::new(compressed));
            return Ok(());
        }
        let (mut bytes, mut padding) = (0, true);
        loop {
            let ahead = compressed.fill_buf()?;
            if ahead.is_empty() {
                break;
            }
            padding &= ahead.iter().all(|&b| b == 0);
            bytes += ahead.len() as u64;
            let seen = ahead.len();
            compressed.consume(seen);
        }
        self.trailing_bytes = if padding { 0 } else { bytes };
        Ok(())
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(decoder) = &mut self.member {
            let read = decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            // The decoder has compared CRC and length by now.
            if let Some(decoder) = self.member.take() {
                self.next_member(decoder.into_inner())?;
            }
        }
        Ok(0)
    }
}
