//! `anole tail`: what happens to events as it happens, from the running daemon's live feed.
//!
//! It goes on when the daemon is restarted, and says so; only a daemon that was never reached is a failure. What the
//! feed could not show (too much for one viewer, or read too slowly here) is said on stderr with the number.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Tail;
use crate::client::Client;
use crate::failure::Failure;
use crate::looking::{Place, place, query_of};
use crate::output::Output;
use crate::show;

/// Between two tries to reach a daemon that went away.
const AGAIN: Duration = Duration::from_secs(1);
/// A line of the feed is bounded by what an event's names can be; one that is longer is no feed.
const LONGEST: usize = 1 << 20;

/// Pieces of a feed, put together to messages.
#[derive(Debug, Default)]
struct Messages {
    bytes: Vec<u8>,
    event: String,
}

/// A message of a feed.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    /// Its kind; empty for what happened to an event.
    event: String,
    data: String,
}

pub(crate) async fn run(config: Option<&Path>, tail: &Tail, output: Output) -> Result<(), Failure> {
    let Place::Daemon(client) = place(config)? else {
        return Err(Failure::Failed(
            "no daemon runs here: there is nothing live. `anole events list` reads what was".into(),
        ));
    };
    let query = query_of(&json!({
        "stage": tail.stage,
        "lane": tail.lane,
        "state": tail.state,
        "event": tail.event,
        "message_id": tail.message_id,
    }))?;
    let mut left = tail.limit.unwrap_or(usize::MAX);
    let mut client = client;
    let mut came = false;
    loop {
        match listen(&client, &query, &mut left, &mut came, output).await {
            Ok(()) => return Ok(()),
            Err(error) if !came => return Err(error.into()),
            Err(error) => output.talk(&format!("anole: {error:#}: trying again")),
        }
        tokio::time::sleep(AGAIN).await;
        // A daemon that was started anew may listen elsewhere.
        if let Ok(Place::Daemon(found)) = place(config) {
            client = found;
        }
    }
}

/// Shows what the feed says, until as much was shown as was asked for.
async fn listen(client: &Client, query: &str, left: &mut usize, came: &mut bool, output: Output) -> anyhow::Result<()> {
    let mut feed = client.feed(&format!("/api/feed?{query}")).await?;
    if !*came {
        output.talk("listening; Ctrl-C ends it");
    }
    *came = true;
    let mut messages = Messages::default();
    while *left > 0 {
        let Some(piece) = feed.chunk().await? else { anyhow::bail!("the daemon ended the feed") };
        messages.bytes.extend_from_slice(&piece);
        for message in messages.by_ref() {
            let data: Value = serde_json::from_str(&message.data)?;
            match message.event.as_str() {
                "" if *left > 0 => {
                    show::told(output, &data);
                    *left -= 1;
                }
                "missed" => output.talk(&format!("{} events were too many to show: filter", data["missed"])),
                "dropped" => anyhow::bail!("{}", data["message"].as_str().unwrap_or("this viewer was dropped")),
                _ => {}
            }
        }
        anyhow::ensure!(messages.bytes.len() <= LONGEST, "what the daemon sends is no feed");
    }
    Ok(())
}

// === impl Messages ===

impl Iterator for Messages {
    type Item = Message;

    /// The next whole message; comments are passed over.
    fn next(&mut self) -> Option<Message> {
        loop {
            let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = line.strip_prefix("event:") {
                event.trim().clone_into(&mut self.event);
            } else if let Some(data) = line.strip_prefix("data:") {
                // Ours has one line of data to a message.
                return Some(Message { event: std::mem::take(&mut self.event), data: data.trim().to_owned() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together_from_pieces_cut_anywhere() {
        let feed = ": open\n\ndata: {\"a\":1}\n\nevent: missed\ndata: {\"missed\":7}\n\ndata: {\"b\":\"é\"}\n\n";
        for cut in 0..feed.len() {
            let mut messages = Messages::default();
            let mut all = Vec::new();
            for piece in [&feed.as_bytes()[..cut], &feed.as_bytes()[cut..]] {
                messages.bytes.extend_from_slice(piece);
                all.extend(messages.by_ref());
            }
            let all: Vec<_> = all.iter().map(|message| (&*message.event, &*message.data)).collect();
            assert_eq!(all, [("", "{\"a\":1}"), ("missed", "{\"missed\":7}"), ("", "{\"b\":\"é\"}")], "cut at {cut}");
        }
    }
}
