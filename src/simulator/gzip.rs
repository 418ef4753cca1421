//! A gzip stream of stored blocks: valid for every reader, compresses nothing, needs no library.

use bytes::{BufMut, Bytes, BytesMut};

const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Writes one gzip member piece by piece; each piece is readable at once.
#[derive(Debug)]
pub struct Gzip {
    crc: u32,
    length: u32,
    begun: bool,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { crc: u32::MAX, length: 0, begun: false }
    }
}

impl Gzip {
    /// The bytes that carry `data`.
    pub fn block(&mut self, data: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(data.len() + 32);
        self.begin(&mut out);
        for part in data.chunks(usize::from(u16::MAX)) {
            stored(&mut out, part, 0);
        }
        for byte in data {
            self.crc = step(self.crc, *byte);
        }
        // The field is the length modulo 2^32 by definition.
        self.length = self.length.wrapping_add(u32::try_from(data.len() & 0xffff_ffff).unwrap_or_default());
        out.freeze()
    }

    /// The last bytes.
    pub fn end(mut self) -> Bytes {
        let mut out = BytesMut::new();
        self.begin(&mut out);
        stored(&mut out, &[], 1);
        out.put_u32_le(!self.crc);
        out.put_u32_le(self.length);
        out.freeze()
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&HEAD);
        }
    }
}

fn stored(out: &mut BytesMut, part: &[u8], last: u8) {
    let length = u16::try_from(part.len()).unwrap_or_default();
    out.put_u8(last);
    out.put_u16_le(length);
    out.put_u16_le(!length);
    out.extend_from_slice(part);
}

fn step(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32_comes_out() {
        let mut gzip = Gzip::default();
        gzip.block(b"1234");
        gzip.block(b"56789");
        let end = gzip.end();
        assert_eq!(&end[5..9], 0xcbf4_3926_u32.to_le_bytes());
        assert_eq!(&end[9..], 9_u32.to_le_bytes());
    }
}
