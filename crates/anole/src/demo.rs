//! `anole demo`: everything on loopback, in a temporary folder and on free ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anole_event::SystemClock;
use anole_http::body::{Body, Incoming};
use anole_http::{Shutdown, reply};
use anole_sandbox::{Options, Sandbox};
use anole_telemetry::{LogFormat, TapEvent, TapReader, Telemetry, init_logging};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;

use crate::certificates::Certificates;
use crate::cli::Demo;
use crate::daemon::{Daemon, Front, Parts};
use crate::failure::Failure;
use crate::lock::DataDir;
use crate::output::Output;
use crate::run::Ending;
use crate::show;

const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("demo/shop.html")),
    ("/demo/shop.css", "text/css; charset=utf-8", include_str!("demo/shop.css")),
    ("/demo/shop.js", "text/javascript; charset=utf-8", include_str!("demo/shop.js")),
    ("/demo/tag.js", "text/javascript; charset=utf-8", include_str!("demo/tag.js")),
];
const KEY: &str = "dk_demo_shop";

pub(crate) async fn run(demo: &Demo, output: Output) -> Result<(), Failure> {
    init_logging(LogFormat::Text, "warn");
    let sandbox = Sandbox::start(Options::default()).await.map_err(Failure::of)?;
    let folder = tempfile::tempdir().map_err(Failure::of)?;
    write_folder(folder.path(), demo.listen, &sandbox.url())?;
    let config = folder.path().join("anole.yaml");
    let loaded = crate::files::load(Some(&config))?;
    let data = DataDir::lock(&loaded.settings.data_dir)?;
    let clock = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock) as _);
    let closing = Shutdown::new();
    let mut ending = Ending::listen()?;
    let heard = telemetry.tap().listen();
    let certificates = Certificates::open(&loaded.settings, &telemetry, &(Arc::clone(&clock) as _))?;
    let daemon = Daemon::start(Parts {
        config: Some(config),
        seen: loaded.seen,
        settings: loaded.settings,
        pipelines: loaded.pipelines,
        data,
        telemetry: Arc::clone(&telemetry),
        clock,
        front: Some(front(Arc::clone(&telemetry), closing.clone())),
        max_connections: 500,
        certificates,
    })
    .await?;
    tell(output, &daemon, &sandbox);
    let showing = tokio::spawn(show(heard, output));
    let is_over = async {
        match demo.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = ending.wait() => {}
        () = is_over => {}
    }
    closing.begin();
    tokio::select! {
        () = daemon.stop() => {}
        () = ending.wait() => {}
    }
    showing.abort();
    sandbox.stop().await;
    Ok(())
}

/// The demo's own configuration: the user's would be no different.
fn write_folder(folder: &std::path::Path, listen: Option<SocketAddr>, sandbox: &str) -> Result<(), Failure> {
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = format!(
        "data_dir: ./data\npipelines: ./pipelines\ncollect: {{ listen: \"{listen}\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         delivery: {{ allow_private_addresses: true }}\n"
    );
    let pipeline = format!(
        "pipeline: shop\nkeys: [{{ key: {KEY} }}]\nga4: {{ measurement_ids: [G-DEMO], api_secret: demo }}\n\
         destinations:\n  - blueprint: kameleoon\n    settings:\n      site_code: demo0shop1\n      region: eu\n      \
         base_url: \"{sandbox}\"\n    events:\n      Order Completed: {{ set: {{ goalId: 36151 }} }}\n      \
         Order Refunded: {{ set: {{ goalId: 36151 }} }}\n      Signed Up: {{ set: {{ goalId: 36152 }} }}\n"
    );
    std::fs::create_dir(folder.join("pipelines")).map_err(Failure::of)?;
    std::fs::write(folder.join("anole.yaml"), settings).map_err(Failure::of)?;
    std::fs::write(folder.join("pipelines/shop.yaml"), pipeline).map_err(Failure::of)
}

/// The shop's pages and its feed of outcomes, before the collection routes.
fn front(telemetry: Arc<Telemetry>, closing: Shutdown) -> Front {
    Arc::new(move |request: &Request<Incoming>| {
        if request.method() != Method::GET {
            return None;
        }
        let path = request.uri().path();
        if path == "/demo/feed" {
            let mut answer =
                Response::new(anole_console::feed(&telemetry, anole_console::FeedFilter::default(), closing.clone()));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Some(answer);
        }
        FILES.iter().find(|(name, ..)| *name == path).map(|(_, content_type, text)| page(content_type, text))
    })
}

fn page(content_type: &'static str, text: &'static str) -> Response<Body> {
    let mut answer = reply::typed(StatusCode::OK, HeaderValue::from_static(content_type), text);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn tell(output: Output, daemon: &Daemon, sandbox: &Sandbox) {
    let collect = daemon.collect;
    if output.json {
        let (shop, console) = (format!("http://{collect}/"), format!("http://{}/", daemon.admin));
        output.value(
            &json!({ "shop": shop, "console": console, "sandbox": format!("{}/", sandbox.url()), "write_key": KEY }),
        );
        return;
    }
    for line in [
        String::new(),
        format!(
            "  shop      http://{collect}/            press its buttons, and watch here what becomes of each event"
        ),
        format!("  console   http://{}/            what came in, and whether all is well", daemon.admin),
        format!("  sandbox   {}/            what arrived at \"Kameleoon\", and faults to set", sandbox.url()),
        String::new(),
        "  Or from a terminal:".to_owned(),
        format!(
            "    curl http://{collect}/v1/t -H 'x-write-key: {KEY}' -H 'cookie: kameleoonVisitorCode=245fc8a1b9' \\"
        ),
        "      -d '{\"event\":\"Order Completed\",\"anonymousId\":\"a-1\",\"properties\":{\"revenue\":23.50}}'"
            .to_owned(),
        format!(
            "    curl '{}/_sandbox/faults' -d '{{\"status\":500,\"times\":2}}'     # a bad moment of the vendor",
            sandbox.url()
        ),
        String::new(),
        "  Ctrl-C ends it; nothing is kept.".to_owned(),
        String::new(),
    ] {
        output.line(&line);
    }
}

/// Prints what happens to each event as it happens.
async fn show(mut heard: TapReader, output: Output) {
    while let Some(told) = heard.next().await {
        match told {
            // What became of the sends of an attempt is told one by one.
            Ok(told) if matches!(*told, TapEvent::Attempt { .. }) => {}
            Ok(told) => show::told(output, &serde_json::to_value(&*told).unwrap_or_default()),
            Err(missed) => output.talk(&format!("{missed} events were too fast to show")),
        }
    }
}
