//! Two questions that are asked of every id of every send, and answered here without a loop over its characters.

/// Whether two texts are equal. Rules and rungs are shared, so that they are mostly the same piece of memory; and two ids
/// of one length mostly differ in their last byte. Both save the call that compares.
pub(crate) fn same(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || (one.len() == other.len() && one.bytes().last() == other.bytes().last() && one == other)
}

/// The bytes of a UUID that is written again exactly as it was: lower case, with its hyphens.
pub(crate) fn canonical_uuid(id: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = id.as_bytes().try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let digits = |first: usize, second: usize| {
        let mut eight = [0; 8];
        eight[..4].copy_from_slice(&text[first..first + 4]);
        eight[4..].copy_from_slice(&text[second..second + 4]);
        four_bytes(eight)
    };
    let mut uuid = [0; 16];
    uuid[..4].copy_from_slice(&digits(0, 4)?);
    uuid[4..8].copy_from_slice(&digits(9, 14)?);
    uuid[8..12].copy_from_slice(&digits(19, 24)?);
    uuid[12..].copy_from_slice(&digits(28, 32)?);
    Some(uuid)
}

/// Eight lower-case hex digits as four bytes, all eight at once.
///
/// In ASCII only letters have the bit 0x40, so a digit's value is its low nibble, and a letter's that and 9. What is no
/// lower-case hex digit is found by writing the value again (upper case differs) and by its range (`:` to `?` would be
/// digits over 9, the backquote a letter under 10, `g` and above letters over 15).
fn four_bytes(digits: [u8; 8]) -> Option<[u8; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_le_bytes(digits);
    let letters = text >> 6 & ONES;
    let values = (text & (0x0f * ONES)) + letters * 9;
    let again = values + 0x30 * ONES + letters * 0x27;
    let over_nine = (values + 6 * ONES) >> 4 & ONES;
    if again != text || over_nine != letters || values & (0x10 * ONES) != 0 {
        return None;
    }
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    Some(((fours | fours >> 16) as u32).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_but_a_lower_case_hex_digit_is_refused() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut digits = *b"0a9f5c3e";
                digits[at] = byte;
                let expected = std::str::from_utf8(&digits)
                    .ok()
                    .filter(|text| text.bytes().all(|one| matches!(one, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|text| u32::from_str_radix(text, 16).ok())
                    .map(u32::to_be_bytes);
                assert_eq!(four_bytes(digits), expected, "{digits:?}");
            }
        }
    }

    #[test]
    fn a_uuid_is_canonical_only_in_one_spelling() {
        let text = "9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa";
        let bytes = uuid::Uuid::parse_str(text).expect("a UUID").into_bytes();
        assert_eq!(canonical_uuid(text), Some(bytes));
        for other in [text.to_uppercase(), text.replace('-', ""), text.replacen('-', "_", 1), format!("{text} ")] {
            assert_eq!(canonical_uuid(&other), None, "{other}");
        }
    }

    #[test]
    fn texts_are_the_same_when_they_are_equal() {
        assert!(same("", "") && same("abc", &String::from("abc")));
        assert!(!same("abc", "abd") && !same("abc", "xbc") && !same("abc", "ab") && !same("", "a"));
    }
}
