//! Bodies: the ones that are answered, and the bounded reading of the ones that come in.
//!
//! # Reading
//!
//! [`read`] takes a whole body into memory and refuses, rather than truncates, what is over the limit. Three bounds
//! hold at once: bytes, the time without progress, and the time for the whole. The last is there because a client that
//! sends one byte every few seconds makes progress for ever.
//!
//! After a refusal the rest of the body is read and thrown away ([`drain`]), up to 16 MiB or 2 s. A server that
//! answers and closes while bytes are still on their way makes the client's kernel see a reset, and a reset makes it
//! drop the answer, so the client would never learn why it was refused. Answering first and draining beside it was
//! rejected: it needs a task of its own per refusal, and most clients read the answer only after they have sent all.
//!
//! # Encodings
//!
//! [`read_decoded`] also undoes gzip, deflate, br and zstd. The limit bounds the expanded bytes, which are counted as
//! they come out of the decoder, so that a small body that expands to gigabytes costs no more than the limit.

mod answer;
mod decode;
mod read;

pub use answer::{Body, BodySender, BoxError, ClientGone};
pub use decode::decode;
pub use hyper::body::Incoming;
pub use read::{BodyCode, BodyError, DRAIN_BYTES, DRAIN_TIME, Limits, drain, read, read_decoded};

pub(crate) use answer::InFlight;
