//! The lane machine, batches, retry, split, park; the driver that sends.
