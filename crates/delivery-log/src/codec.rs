//! The alphabet of our binary forms: LEB128 numbers, zigzag differences, counted texts, compressed pieces.

/// What cannot be read, and why. Bytes come from our own files, so this is damage or a newer anole.
pub(crate) type Read<T> = Result<T, &'static str>;

/// What a piece must have to be compressed: below, zstd's frame and tables cost more than they gain.
#[derive(Clone, Copy)]
struct Terms {
    level: i32,
    from: usize,
}

/// For bodies. Compression is the largest part of what a body costs; level 1 would take two fifths less space at twice that
/// cost, and level 3 no less than level 1 at four times.
const BODIES: Terms = Terms { level: -2, from: 256 };
/// For the texts of a block, which are mostly ids without pattern. This level only takes out what repeats, which pays in
/// large blocks; coding hex digits in fewer bits, as level 1 does, would save a tenth of a block at a quarter of its cost.
const TEXTS: Terms = Terms { level: -5, from: 4096 };
/// What a compressed piece may say that it expands to: 64 MiB, far above any request body.
const MOST: u64 = 64 * 1024 * 1024;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Reads forward through bytes, never beyond their end.
pub(crate) struct Cut<'a>(&'a [u8]);

/// Packs pieces. Keeping zstd's working memory from one piece to the next saves more than half of its cost on small ones.
pub(crate) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    from: usize,
}

pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

/// The difference of two numbers, small ones of either sign made small.
pub(crate) fn zigzag(from: u64, to: u64) -> u64 {
    let difference = to.wrapping_sub(from).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

pub(crate) fn unzigzag(from: u64, difference: u64) -> u64 {
    from.wrapping_add((difference >> 1) ^ (difference & 1).wrapping_neg())
}

// === impl Cut ===

impl<'a> Cut<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn byte(&mut self) -> Read<u8> {
        let (byte, rest) = self.0.split_first().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(crate) fn number(&mut self) -> Read<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number has no end")
    }

    pub(crate) fn length(&mut self) -> Read<usize> {
        usize::try_from(self.number()?).map_err(|_| "a length is too large")
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text_of(&mut self, length: usize) -> Read<&'a str> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| "a text is no UTF-8")
    }

    pub(crate) fn text(&mut self) -> Read<&'a str> {
        let length = self.length()?;
        self.text_of(length)
    }
}

// === impl Packer ===

impl Packer {
    fn on(terms: Terms) -> std::io::Result<Self> {
        Ok(Self { compressor: zstd::bulk::Compressor::new(terms.level)?, from: terms.from })
    }

    pub(crate) fn for_bodies() -> std::io::Result<Self> {
        Self::on(BODIES)
    }

    pub(crate) fn for_texts() -> std::io::Result<Self> {
        Self::on(TEXTS)
    }

    /// Appends a piece: a form byte, then the bytes as they are or their length and zstd frame. It goes up to the end.
    pub(crate) fn pack(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        if piece.len() >= self.from {
            let start = out.len();
            out.push(ZSTD);
            put(out, piece.len() as u64);
            let head = out.len();
            out.resize(head + zstd::zstd_safe::compress_bound(piece.len()), 0);
            // An error can only say that the room is too small, which `compress_bound` rules out.
            if let Ok(written) = self.compressor.compress_to_buffer(piece, &mut out[head..])
                && written < piece.len()
            {
                out.truncate(head + written);
                return;
            }
            out.truncate(start);
        }
        out.push(PLAIN);
        out.extend_from_slice(piece);
    }
}

/// Takes a piece apart again.
pub(crate) fn unpack(packed: &[u8]) -> Read<Vec<u8>> {
    let mut cut = Cut::new(packed);
    match cut.byte()? {
        PLAIN => Ok(cut.0.to_vec()),
        ZSTD => {
            let length = cut.number()?;
            if length > MOST {
                return Err("a piece is larger than any that is written");
            }
            let length = usize::try_from(length).map_err(|_| "a length is too large")?;
            let piece = zstd::bulk::decompress(cut.0, length).map_err(|_| "a piece cannot be expanded")?;
            if piece.len() == length { Ok(piece) } else { Err("a piece is shorter than it says") }
        }
        _ => Err("a piece has an unknown form"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_texts_and_differences_read_back(numbers: Vec<u64>, text: String, from: u64, to: u64) {
            let mut bytes = Vec::new();
            for number in &numbers {
                put(&mut bytes, *number);
            }
            put_text(&mut bytes, &text);
            let mut cut = Cut::new(&bytes);
            for number in &numbers {
                prop_assert_eq!(cut.number(), Ok(*number));
            }
            prop_assert_eq!(cut.text(), Ok(&*text));
            prop_assert!(cut.is_empty());
            prop_assert_eq!(unzigzag(from, zigzag(from, to)), to);
        }

        #[test]
        fn a_piece_is_unpacked_as_it_was_packed(piece: Vec<u8>, repeat in 1_usize..50) {
            let piece = piece.repeat(repeat);
            let mut packer = Packer::for_bodies().expect("a packer");
            let mut packed = Vec::new();
            packer.pack(&mut packed, &piece);
            prop_assert!(packed.len() <= piece.len() + 1);
            prop_assert_eq!(unpack(&packed), Ok(piece));
        }

        #[test]
        fn foreign_bytes_are_an_error_or_a_piece_and_never_a_panic(bytes: Vec<u8>) {
            if let Ok(piece) = unpack(&bytes) {
                prop_assert!(piece.len() as u64 <= MOST);
            }
        }
    }
}
