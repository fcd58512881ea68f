//! The tutorial, followed word for word in a fresh folder.
//!
//! A block behind a line that ends with a name in backticks and a colon is a file of that name; a `console` block is
//! commands behind `$ ` and what they print. `UPDATE_TUTORIAL=1 cargo test -p anole tutorial` writes what they print anew.

use std::path::{Path, PathBuf};
use std::process::Command;

use anole_testkit::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::BINARY;

/// A part of the page.
enum Block {
    /// To be written.
    File { name: String, text: String },
    /// Commands, each with what it prints.
    Console(Vec<(String, String)>),
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md")
}

/// The blocks of a page; others than files and consoles are passed over.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.trim().is_empty() { before } else { line };
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let named = before.strip_suffix("`:").and_then(|before| before.rsplit_once('`')).map(|(_, name)| name);
        match (language, named) {
            ("console", _) => blocks.push(Block::Console(commands(&block))),
            (_, Some(name)) => {
                blocks.push(Block::File { name: name.to_owned(), text: format!("{}\n", block.join("\n")) });
            }
            _ => {}
        }
        before = "";
    }
    blocks
}

fn commands(block: &[&str]) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => {
                printed.push_str(line);
                printed.push('\n');
            }
            (None, None) => panic!("a console begins with a command, and not with {line}"),
        }
    }
    commands
}

/// A reader with a folder and a shell.
struct Reader {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl Reader {
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// What a command prints to both streams, blanks at the ends of lines taken off as editors do.
    fn run(&mut self, command: &str) -> String {
        if let Some((name, value)) = command.strip_prefix("export ").and_then(|set| set.split_once('=')) {
            self.env.push((name.to_owned(), value.to_owned()));
            return String::new();
        }
        let folder = Path::new(BINARY).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(self.dir.path());
        shell.env("PATH", format!("{folder}:{path}")).envs(self.env.iter().cloned());
        let output = shell.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Follows the page; gives it as it would be if it said what is printed.
    fn follow(&mut self, page: &str) -> String {
        let mut told = page.to_owned();
        for block in blocks(page) {
            match block {
                Block::File { name, text } => self.write(&name, &text),
                Block::Console(commands) => {
                    let mut said = String::from("```console\n");
                    let mut saying = said.clone();
                    for (command, printed) in commands {
                        said.push_str(&format!("$ {command}\n{printed}"));
                        saying.push_str(&format!("$ {command}\n{}", self.run(&command)));
                    }
                    told = told.replacen(&format!("{said}```\n"), &format!("{saying}```\n"), 1);
                }
            }
        }
        told
    }
}

fn reader() -> Reader {
    Reader { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
}

#[test]
fn the_tutorial_gives_what_it_says() {
    let text = std::fs::read_to_string(page()).unwrap();
    let commands = blocks(&text).iter().filter(|block| matches!(block, Block::Console(_))).count();
    assert!(commands >= 10, "the page has {commands} consoles");
    let told = reader().follow(&text);
    if std::env::var_os("UPDATE_TUTORIAL").is_some() {
        std::fs::write(page(), &told).unwrap();
    }
    for (line, (said, printed)) in text.lines().zip(told.lines()).enumerate() {
        assert_eq!(said, printed, "docs/tutorial.md:{} says something else than is printed", line + 1);
    }
    assert_eq!(text.len(), told.len(), "the page leaves something out that is printed");
}

/// What the page ends with is not only shown: a daemon sends it so.
#[tokio::test]
async fn the_tutorial_s_blueprint_delivers_what_it_shows() {
    let mut reader = reader();
    let text = std::fs::read_to_string(page()).unwrap();
    let _printed = reader.follow(&text);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let pipeline = std::fs::read_to_string(reader.dir.path().join("pipelines/shop.yaml")).unwrap();
    let settings = format!("api_key: tern-secret-1, base_url: \"{origin}\"");
    reader.write("pipelines/shop.yaml", &pipeline.replace("api_key: \"${TERN_KEY}\"", &settings));
    reader.write(
        "anole.yaml",
        "collect: { listen: \"127.0.0.1:0\" }\nadmin: { listen: \"127.0.0.1:0\" }\ndelivery: { allow_private_addresses: true }\n",
    );
    let daemon = Daemon::start(Path::new(BINARY), &reader.dir.path().join("anole.yaml")).await.unwrap();
    let order = std::fs::read_to_string(reader.dir.path().join("order.json")).unwrap();
    let posted = anole_testkit::client()
        .post(daemon.collect_url("/v1/track"))
        .header("x-write-key", "dk_tutorial")
        .body(order)
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 200);

    let (mut stream, _) = tokio::time::timeout(crate::bench::PATIENCE, listener.accept()).await.unwrap().unwrap();
    let body = r#"{"activities":[{"id":"m-1","kind":"purchase","at":"2026-01-01T10:00:00.000Z","amount":23.50,"items":[{"sku":"TEA-1","count":2},{"sku":"CUP-7","count":1}]}]}"#;
    let mut request = String::new();
    let mut chunk = [0; 4096];
    while !request.contains("\r\n\r\n") || !request.ends_with(body) {
        let read = tokio::time::timeout(crate::bench::PATIENCE, stream.read(&mut chunk)).await;
        let read = read.unwrap_or_else(|_| panic!("only this came: {request}")).unwrap();
        assert!(read > 0, "it ended with {request}");
        request.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(request.starts_with("POST /v2/members/eva%40example.com/activities HTTP/1.1\r\n"), "{request}");
    let head = request.to_ascii_lowercase();
    for header in ["authorization: bearer tern-secret-1\r\n", "content-type: application/json\r\n"] {
        assert!(head.contains(header), "{header} is missing in {request}");
    }
    assert_eq!(daemon.stop().await, Ok(0));
}
