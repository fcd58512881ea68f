//! Reading a body into memory, within bounds.

use std::time::Duration;

use anole_event::code_enum;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_ENCODING;
use http::{Request, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::decode;

/// How much of a refused body is read and thrown away.
pub const DRAIN_BYTES: usize = 16 << 20;

/// How long a refused body is read and thrown away.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A length that a client merely claims is not allocated beyond this.
const CLAIMED: usize = 64 << 10;

/// What a body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, before and after decoding.
    pub bytes: usize,
    /// Time without any progress. It is checked once per period, so a stalled body ends after one to two of them.
    pub idle: Duration,
    /// Time for the whole body.
    pub whole: Duration,
}

code_enum! {
    /// The stable codes of bodies that cannot be read.
    pub enum BodyCode {
        /// It is larger than may be.
        TooLarge "body_too_large",
        /// It came too slowly.
        Timeout "body_timeout",
        /// Its encoding is not one that is read.
        Encoding "unsupported_encoding",
        /// It does not expand.
        Corrupt "corrupt_encoding",
        /// The client went away.
        Aborted "body_aborted",
    }
}

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It has, or expands to, more bytes than allowed.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not arrive in time")]
    Timeout,
    /// Its encoding is not known here.
    #[error("the content encoding \"{0}\" is not supported: send gzip, deflate, br, zstd or none")]
    Encoding(String),
    /// It is not what its encoding says.
    #[error("the body is not valid {0}")]
    Corrupt(&'static str),
    /// The client went away in the middle, or broke the protocol.
    #[error("the body broke off")]
    Aborted,
}

// === impl Limits ===

impl Limits {
    /// At most `bytes`, 10 s without progress, 60 s for the whole.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        Self { bytes, idle: Duration::from_secs(10), whole: Duration::from_secs(60) }
    }
}

// === impl BodyError ===

impl BodyError {
    /// The status that says it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Corrupt(_) | Self::Aborted => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for programs and metrics.
    #[must_use]
    pub const fn code(&self) -> BodyCode {
        match self {
            Self::TooLarge { .. } => BodyCode::TooLarge,
            Self::Timeout => BodyCode::Timeout,
            Self::Encoding(_) => BodyCode::Encoding,
            Self::Corrupt(_) => BodyCode::Corrupt,
            Self::Aborted => BodyCode::Aborted,
        }
    }
}

/// Reads a whole body. One that came in a single piece is not copied.
///
/// # Errors
///
/// See [`BodyError`]. A body that is too large is drained before the error is returned.
pub async fn read<B>(mut body: B, limits: &Limits) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let limit = limits.bytes;
    let claimed = body.size_hint().lower();
    if claimed > limit as u64 {
        drain(body).await;
        return Err(BodyError::TooLarge { limit });
    }
    let started = Instant::now();
    let end = started + limits.whole;
    // One timer for the body rather than one per piece; polled, and so registered, only when no piece is there yet.
    let mut alarm = std::pin::pin!(sleep_until(started + limits.idle.min(limits.whole)));
    let mut progressed = false;
    let mut pieces = Pieces::None;
    loop {
        tokio::select! {
            biased;
            frame = body.frame() => {
                let Some(frame) = frame else { return Ok(pieces.into_bytes()) };
                let Ok(data) = frame.map_err(|_| BodyError::Aborted)?.into_data() else { continue };
                progressed = true;
                if pieces.len() + data.len() > limit {
                    drain(body).await;
                    return Err(BodyError::TooLarge { limit });
                }
                pieces.push(data, usize::try_from(claimed).unwrap_or(CLAIMED).min(CLAIMED));
            }
            () = alarm.as_mut() => {
                let now = Instant::now();
                if !progressed || now >= end {
                    return Err(BodyError::Timeout);
                }
                progressed = false;
                alarm.as_mut().reset((now + limits.idle).min(end));
            }
        }
    }
}

/// Reads a whole body and undoes its `Content-Encoding`. The limit holds for the expanded bytes.
///
/// # Errors
///
/// See [`BodyError`]. A body of an unknown encoding is drained before the error is returned.
pub async fn read_decoded<B>(request: Request<B>, limits: &Limits) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (parts, body) = request.into_parts();
    if !parts.headers.contains_key(CONTENT_ENCODING) {
        return read(body, limits).await;
    }
    let encoding = match decode::encoding(&parts.headers) {
        Ok(encoding) => encoding,
        Err(error) => {
            drain(body).await;
            return Err(error);
        }
    };
    let bytes = read(body, limits).await?;
    match encoding {
        Some(encoding) => decode::expand(encoding, bytes, limits.bytes).await,
        None => Ok(bytes),
    }
}

/// Reads and throws away what is left of a body, at most [`DRAIN_BYTES`] or [`DRAIN_TIME`]. For answers that are given
/// without looking at the body, such as 401 or 404.
pub async fn drain<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return;
    }
    let mut seen = 0_usize;
    let rest = async {
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DRAIN_BYTES {
                break;
            }
        }
    };
    // Whether it came to its end or ran out of time: what follows is the answer in either case.
    let _in_time = timeout(DRAIN_TIME, rest).await.is_ok();
}

/// What has been read: most bodies are one piece, which is handed on as it is.
enum Pieces {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: Bytes, expected: usize) {
        match self {
            Self::None => *self = Self::One(data),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(expected.max(first.len() + data.len()));
                all.extend_from_slice(first);
                all.extend_from_slice(&data);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&data),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}
