//! Protocols to events: keys, CORS, cookies, identity, de-duplication, admission.
