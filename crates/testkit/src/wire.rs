//! Posting over a bare connection, for measurements: a client library would cost more than what is measured.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request with a write key and a JSON body, as it goes over the wire.
#[must_use]
pub fn request(path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-write-key: {key}\r\n\
         cookie: kameleoonVisitorCode=245fc8a1b9\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads the answer, which must have a `Content-Length`; its status.
///
/// # Errors
/// When the connection is lost.
pub async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|length| length.trim().parse().ok()).expect("an answer has a length");
        if buffer.len() >= head + 4 + length {
            return Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status"));
        }
    }
}

/// An event of about 700 bytes with this message id.
#[must_use]
pub fn event(message_id: &str, visitor: &str, number: u64) -> String {
    format!(
        concat!(
            r#"{{"type":"track","event":"Order Completed","messageId":"{}","#,
            r#""anonymousId":"{}","userId":"user-{}","timestamp":"2026-11-22T10:00:00.000Z","#,
            r#""properties":{{"order_id":"ORD-{}","revenue":23.50,"currency":"EUR","coupon":"WINTER","products":["#,
            r#"{{"product_id":"SKU-1","name":"House blend","price":11.75,"quantity":2}}]}},"#,
            r#""context":{{"library":{{"name":"bench","version":"1"}},"locale":"en-GB","page":{{"url":"#,
            r#""https://shop.example.com/checkout/thanks?order=1","path":"/checkout/thanks","title":"Thank you","#,
            r#""referrer":"https://shop.example.com/checkout"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64)"}}}}"#
        ),
        message_id,
        visitor,
        number % 500,
        number
    )
}
