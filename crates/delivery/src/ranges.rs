//! Finished ranges that two sides know of, as one.

use std::ops::Range;

/// Ranges that may touch, overlap or lie below the watermark, as what a state keeps: the watermark behind all that
/// directly follows it, and above it ranges that rise and do not touch.
pub(crate) fn unite(watermark: u64, mut ranges: Vec<Range<u64>>) -> (u64, Vec<Range<u64>>) {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let (mut reached, mut united) = (watermark, Vec::<Range<u64>>::new());
    for range in ranges {
        let before = united.last_mut().map_or(&mut reached, |last| &mut last.end);
        if range.start <= *before {
            *before = range.end.max(*before);
        } else {
            united.push(range);
        }
    }
    (reached, united)
}

/// Whether an offset lies in one of the ranges, which rise and do not touch.
pub(crate) fn covers(ranges: &[Range<u64>], offset: u64) -> bool {
    let behind = ranges.partition_point(|range| range.end <= offset);
    ranges.get(behind).is_some_and(|range| range.contains(&offset))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "finished stretches are ranges, and one is often all there is")]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_watermark_moves_it_and_the_rest_stays_above() {
        assert_eq!(unite(10, vec![]), (10, vec![]));
        assert_eq!(unite(10, vec![40..50, 20..30]), (10, vec![20..30, 40..50]));
        assert_eq!(unite(10, vec![5..20, 20..25, 40..50, 45..60, 60..61, 7..7]), (25, vec![40..61]));
        assert_eq!(unite(10, vec![2..8]), (10, vec![]), "what lies below is finished anyway");
    }

    #[test]
    fn ranges_cover_their_first_and_not_their_end() {
        let ranges = [10..20, 30..31];
        let covered: Vec<u64> = (8..33).filter(|offset| covers(&ranges, *offset)).collect();
        assert_eq!(covered, (10..20).chain([30]).collect::<Vec<_>>());
        assert!(!covers(&[], 0));
    }
}
