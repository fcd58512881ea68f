//! Finished ranges as bytes: a lane's window may have thousands of them, and they are written with each commit.
//!
//! From the watermark on, each range is two LEB128 numbers: how far it begins behind the end of the one before it, and
//! how long it is. A window of 65,536 positions with every second one finished takes 64 KiB this way, and usual ones a
//! few bytes. A table of ranges was passed over: it would be some rows deleted and inserted per commit.

use std::ops::Range;

/// The bytes of ranges above a watermark. Ranges that are empty, or not above what came before, are left out.
pub(crate) fn encode(watermark: u64, ranges: &[Range<u64>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ranges.len() * 4);
    let mut end = watermark;
    for range in ranges {
        if range.start < end || range.end <= range.start {
            continue;
        }
        put(&mut bytes, range.start - end);
        put(&mut bytes, range.end - range.start);
        end = range.end;
    }
    bytes
}

/// The ranges of these bytes; `None` when they were not written by [`encode`] for this watermark.
pub(crate) fn decode(watermark: u64, mut bytes: &[u8]) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut end = watermark;
    while !bytes.is_empty() {
        let start = end.checked_add(take(&mut bytes)?)?;
        end = start.checked_add(take(&mut bytes)?)?;
        if end == start {
            return None;
        }
        ranges.push(start..end);
    }
    Some(ranges)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part.checked_shl(shift).is_none_or(|shifted| shifted >> shift != part) {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_read_back_as_they_were_written(watermark in 0_u64..1 << 50, steps in prop::collection::vec((0_u64..1 << 30, 1_u64..1 << 30), 0..50)) {
            let mut end = watermark;
            let ranges: Vec<_> = steps
                .iter()
                .map(|(gap, length)| {
                    let start = end + gap;
                    end = start + length;
                    start..end
                })
                .collect();
            prop_assert_eq!(decode(watermark, &encode(watermark, &ranges)), Some(ranges));
        }

        #[test]
        fn foreign_bytes_never_panic(watermark: u64, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(ranges) = decode(watermark, &bytes) {
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.start >= watermark));
            }
        }
    }

    #[test]
    fn the_largest_numbers_fit_and_larger_ones_are_refused() {
        let last = Range { start: u64::MAX - 1, end: u64::MAX };
        let bytes = encode(0, std::slice::from_ref(&last));
        assert_eq!(decode(0, &bytes), Some(Vec::from([last])));
        assert_eq!(decode(1, &bytes), None, "it ends beyond what an offset can be");
        assert_eq!(decode(0, &[0xff; 10]), None);
    }
}
