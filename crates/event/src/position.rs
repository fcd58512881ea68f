//! Where a record stands in the journal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One ordered part of the journal. The embedded journal has one (`0`); a Kafka topic has many.
pub type Partition = u32;

/// A place in the journal: a partition and an opaque number that only grows within it.
///
/// Numbers are not dense: nothing may be concluded from the difference of two. `Position` orders by partition first, so
/// comparing positions of different partitions says nothing about time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The opaque increasing number within the partition.
    pub offset: u64,
}

// === impl Position ===

impl Position {
    /// The start of a partition: not after any record in it.
    #[must_use]
    pub const fn start_of(partition: Partition) -> Self {
        Self { partition, offset: 0 }
    }

    /// A position in partition 0, which is the only one of the embedded journal.
    #[must_use]
    pub const fn at(offset: u64) -> Self {
        Self { partition: 0, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a position: write it as partition:number, such as 0:4096");
        let (partition, offset) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self { partition: partition.parse().map_err(|_| wrong())?, offset: offset.parse().map_err(|_| wrong())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_it_was_written() {
        let position = Position { partition: 3, offset: u64::MAX };
        assert_eq!(position.to_string().parse(), Ok(position));
        assert!("12".parse::<Position>().is_err());
        assert!("0:x".parse::<Position>().is_err());
    }
}
