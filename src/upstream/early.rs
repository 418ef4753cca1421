//! An answer that comes before the request is out: telling a final one from interim ones.

use bytes::{Buf, BytesMut};

use super::fault::{Fault, MOST_INTERIM};

/// Longest head of an interim answer.
const LONGEST_HEAD: usize = 64 * 1024;

/// Bytes of `HTTP/1.1 100`, enough to know an answer's status.
const STATUS_END: usize = 12;

/// What was read while the request was still being written.
#[derive(Debug, Default)]
pub(super) struct Coming {
    pub(super) bytes: BytesMut,
    /// Interim answers that were read over.
    pub(super) interim: usize,
}

impl Coming {
    /// Whether a final answer has begun, so that the rest of the request is not wanted. Interim answers are read over:
    /// a server may send them unasked, and then waits for the rest (RFC 9110, section 15.2).
    pub(super) fn is_final(&mut self) -> Result<bool, Fault> {
        while self.bytes.len() >= STATUS_END {
            let interim = self.bytes.starts_with(b"HTTP/1.") && self.bytes[9] == b'1' && self.bytes[9..12] != *b"101";
            if !interim {
                return Ok(true);
            }
            match memchr::memmem::find(&self.bytes, b"\r\n\r\n") {
                Some(_) if self.interim == MOST_INTERIM => return Err(Fault::too_many_interim()),
                Some(end) => self.bytes.advance(end + 4),
                None if self.bytes.len() > LONGEST_HEAD => return Ok(true),
                None => return Ok(false),
            }
            self.interim += 1;
        }
        Ok(false)
    }
}
