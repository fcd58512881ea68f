//! Undoing a `Content-Encoding`.
//!
//! The whole encoded body is in memory already, so the decoders never wait; they are the asynchronous ones merely
//! because one crate then has all four formats behind one face.

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::BodyError;

/// A frame of zstd may ask for a window of up to 128 MiB unless told otherwise. 8 MiB is what RFC 8878 asks of every
/// decoder, and what the `zstd` content coding is limited to by RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Pieces in which expanded bytes are taken. After each one other tasks may run.
const PIECE: usize = 64 << 10;

/// An encoding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The encoding that the headers name: none, one of ours, or an error. Stacked encodings (`gzip, br`) are refused: no
/// client sends them, and each one more multiplies what a small body may cost.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, BodyError> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| BodyError::Encoding("not text".to_owned()))?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let this = if name.eq_ignore_ascii_case("identity") {
                continue;
            } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                Encoding::Gzip
            } else if name.eq_ignore_ascii_case("deflate") {
                Encoding::Deflate
            } else if name.eq_ignore_ascii_case("br") {
                Encoding::Brotli
            } else if name.eq_ignore_ascii_case("zstd") {
                Encoding::Zstd
            } else {
                return Err(BodyError::Encoding(shortened(name)));
            };
            if found.replace(this).is_some() {
                return Err(BodyError::Encoding(shortened(text)));
            }
        }
    }
    Ok(found)
}

/// Undoes the `Content-Encoding` that the headers name.
///
/// # Errors
///
/// When the encoding is unknown, the bytes are not of it, or they expand to more than `limit`.
pub async fn decode(headers: &HeaderMap, bytes: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    match encoding(headers)? {
        Some(encoding) => expand(encoding, bytes, limit).await,
        None => Ok(bytes),
    }
}

/// Expands bytes of this encoding; an empty body is empty in every encoding, as clients send it so.
pub(super) async fn expand(encoding: Encoding, bytes: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let source: &[u8] = &bytes;
    match encoding {
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(source);
            // RFC 1952 lets a file be several members in a row, and some log shippers send such.
            decoder.multiple_members(true);
            bounded(decoder, limit, "gzip").await
        }
        // "deflate" means zlib by the RFC, but raw deflate in some clients: the two-byte zlib head tells them apart.
        Encoding::Deflate if is_zlib(source) => bounded(ZlibDecoder::new(source), limit, "deflate").await,
        Encoding::Deflate => bounded(DeflateDecoder::new(source), limit, "deflate").await,
        Encoding::Brotli => bounded(BrotliDecoder::new(source), limit, "br").await,
        Encoding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            bounded(ZstdDecoder::with_params(source, &[window]), limit, "zstd").await
        }
    }
}

async fn bounded(decoder: impl AsyncRead + Unpin, limit: usize, name: &'static str) -> Result<Bytes, BodyError> {
    // One byte over the limit is asked for, so that "exactly the limit" and "more" differ.
    let mut decoder = decoder.take(limit as u64 + 1);
    let mut expanded = BytesMut::with_capacity(PIECE.min(limit + 1));
    loop {
        expanded.reserve(PIECE.min(limit + 1 - expanded.len().min(limit)));
        let read = decoder.read_buf(&mut expanded).await.map_err(|_| BodyError::Corrupt(name))?;
        if expanded.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if read == 0 {
            return Ok(expanded.freeze());
        }
        tokio::task::consume_budget().await;
    }
}

fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0)
}

/// What a client calls its encoding goes into an error text, so it is kept short.
fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}
