//! The compiled plan and how it is applied: consent, filter, resolve, map, nonce. Pure.
