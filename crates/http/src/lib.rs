//! The accept loop of every listener: limits, timeouts, bounded bodies, graceful shutdown.
