//! A strict local stand-in for the Kameleoon Data API. Knows none of anole's types: an independent judge.
