//! Finished ranges.

use std::ops::Range;

/// Whether an offset lies in one of the ranges, which rise and do not touch. A window may have thousands of them.
pub(crate) fn covers(ranges: &[Range<u64>], offset: u64) -> bool {
    let behind = ranges.partition_point(|range| range.end <= offset);
    ranges.get(behind).is_some_and(|range| range.contains(&offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_their_first_and_not_their_end() {
        let ranges = [10..20, 30..31];
        let covered: Vec<u64> = (8..33).filter(|offset| covers(&ranges, *offset)).collect();
        assert_eq!(covered, (10..20).chain([30]).collect::<Vec<_>>());
        assert!(!covers(&[], 0));
    }
}
