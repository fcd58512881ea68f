//! The daemon: the crates wired together.
//!
//! State is opened first, as the journal must know how far the lanes have come; then the journal, the delivery log, the
//! lanes, ingest, and the listeners last: nothing is accepted before everything that keeps it is there. It ends in the
//! opposite order: readiness fails, the listener closes, requests under way end, lanes finish what is under way, stores
//! are written and closed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anole_console::{Admin, JournalLimits, Looks, Pulse, router};
use anole_delivery::{
    Delivery, DeliveryOptions, Forgetter, Ground, KeepOptions, LaneOptions, Masked, SenderOptions, Stores,
};
use anole_delivery_log::{DeliveryLog, LogOptions};
use anole_event::{Clock, Position, Seeded};
use anole_http::body::{Body, Incoming};
use anole_http::{ListenOptions, Listener, Pace, Peer, Shutdown, tower_service};
use anole_ingest::{Ingest, IngestOptions, RateLimits};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, OnFull};
use anole_pipeline::PipelinePlan;
use anole_state::{Sqlite, State, StateOptions};
use anole_telemetry::{ForgettingFailed, Telemetry};
use http::{Request, Response, StatusCode};
use tokio::task::JoinHandle;

use crate::certificates::Certificates;
use crate::failure::Failure;
use crate::lock::{DataDir, Running};
use crate::reload::{self, ForApi, Reloader};
use crate::run::ADMIN_CONNECTIONS;
use crate::watch::Seen;

/// What requests under way have to end, and lanes to finish what is under way.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What a daemon is made of.
pub(crate) struct Parts {
    /// The file that was named.
    pub(crate) config: Option<PathBuf>,
    /// What the files were like when they were read.
    pub(crate) seen: Seen,
    pub(crate) settings: anole_config::Settings,
    pub(crate) pipelines: Vec<Arc<PipelinePlan>>,
    pub(crate) data: DataDir,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Pages that stand before the collection routes; only the demo has some.
    pub(crate) front: Option<Front>,
    /// The connection cap of the collection listener.
    pub(crate) max_connections: usize,
    /// What the listeners present.
    pub(crate) certificates: Arc<Certificates>,
}

/// Answers a request, or leaves it to ingest.
pub(crate) type Front = Arc<dyn Fn(&Request<Incoming>) -> Option<Response<Body>> + Send + Sync>;

/// A daemon at work.
pub(crate) struct Daemon {
    pub(crate) collect: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) reloader: Arc<Reloader>,
    data: DataDir,
    ingest: Arc<Ingest>,
    delivery: Arc<Delivery>,
    journal: Arc<Embedded>,
    state: Arc<dyn State>,
    log: Arc<dyn DeliveryLog>,
    collecting: (Shutdown, JoinHandle<()>),
    administering: (Shutdown, JoinHandle<()>),
}

// === impl Daemon ===

impl Daemon {
    /// Opens everything and begins to listen.
    pub(crate) async fn start(parts: Parts) -> Result<Self, Failure> {
        let Parts { config, seen, settings, pipelines, data, telemetry, clock, front, max_connections, certificates } =
            parts;
        let options = state_options(&settings, data.path());
        let state: Arc<dyn State> = Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock))?;
        let options = EmbeddedOptions {
            not_before: furthest(&*state).await?,
            ..journal_options(&settings.journal, data.join("journal"))
        };
        let random = Box::new(Seeded::from_entropy());
        let journal = Embedded::open(options, Arc::clone(&telemetry), Arc::clone(&clock), random)?;
        let log: Arc<dyn DeliveryLog> = open_log(&settings, data.path(), &telemetry, &clock)?;
        let stores = Stores {
            state: Arc::clone(&state),
            log: Arc::clone(&log),
            telemetry: Arc::clone(&telemetry),
            max_parked_bytes: settings.delivery.max_parked_bytes.bytes(),
        };
        let ground = Ground { journal: Arc::clone(&journal) as _, stores, clock: Arc::clone(&clock) };
        let options = delivery_options(&settings)?;
        // Somebody who was being forgotten as the last process ended is hidden before a lane reads.
        let masked = Masked::of(data.path(), &*journal, &pipelines, clock.wall());
        let delivery = Delivery::start(&pipelines, &options, &ground).await.map_err(Failure::of)?;
        let delivery = Arc::new(delivery);
        let forgetter = Forgetter::new(data.path(), ground, Some(Arc::clone(&delivery)), Vec::new());
        if let Err(error) = forgetter.resume(masked) {
            telemetry.emit(ForgettingFailed { error });
        }
        let ingest = Ingest::new(
            ingest_options(&settings),
            anole_ingest::Ground {
                journal: Arc::clone(&journal) as _,
                state: Arc::clone(&state),
                telemetry: Arc::clone(&telemetry),
                clock: Arc::clone(&clock),
                random: Box::new(Seeded::from_entropy()),
            },
            pipelines.iter().map(|plan| Arc::new(plan.intake.clone())),
        );
        let filled = Arc::clone(&ingest);
        let refilled = tokio::task::spawn_blocking(move || filled.refill()).await;
        refilled.map_err(Failure::of)?.map_err(Failure::of)?;
        let reloader = Reloader::new(reload::Running {
            config,
            settings: settings.clone(),
            seen,
            has_pipelines: !pipelines.is_empty(),
            delivery: Arc::clone(&delivery),
            ingest: Arc::clone(&ingest),
            telemetry: Arc::clone(&telemetry),
            certificates: Arc::clone(&certificates),
        });
        let looks = Looks { journal: Arc::clone(&journal) as _, state: Arc::clone(&state), log: Arc::clone(&log) };
        let listen = listen_options("admin", &settings, &certificates);
        let (admin, administering) =
            administer(listen, &settings, looks, (&delivery, forgetter), &ingest, (&reloader, &telemetry, clock))
                .await?;
        let options =
            ListenOptions { max_connections, grace: GRACE, ..listen_options("collect", &settings, &certificates) };
        let (collect, collecting) = collect(options, &ingest, front, &telemetry).await?;
        let running = Running {
            pid: std::process::id(),
            collect,
            admin,
            collect_certificate: certificates.fingerprint("collect"),
            admin_certificate: certificates.fingerprint("admin"),
        };
        data.announce(&running).map_err(Failure::of)?;
        certificates.announce_in(data.path().to_owned(), running);
        Ok(Self { collect, admin, reloader, data, ingest, delivery, journal, state, log, collecting, administering })
    }

    /// Readiness fails, then the listener closes; requests under way end, and so do deliveries; everything is written.
    pub(crate) async fn stop(self) {
        self.ingest.set_draining();
        self.collecting.0.begin();
        // A task that panicked has nothing left to serve.
        let _ended = self.collecting.1.await;
        self.delivery.shutdown(GRACE).await;
        self.administering.0.begin();
        let _ended = self.administering.1.await;
        // What cannot be written now is sent again after the next start; the stores have told why.
        let _told = self.log.close().await;
        let _told = self.state.close().await;
        let journal = self.journal;
        let _ended = tokio::task::spawn_blocking(move || journal.close()).await;
        self.data.withdraw();
    }
}

/// The greatest position that the state knows of: the journal gives none before it.
pub(crate) async fn furthest(state: &dyn State) -> Result<Position, Failure> {
    let mut furthest = Position::default();
    for row in state.lanes().await? {
        for progress in state.progress(row.lane).await? {
            let end = progress.finished.last().map_or(progress.watermark.offset, |range| range.end);
            furthest = furthest.max(progress.watermark).max(Position::at(end));
        }
    }
    Ok(furthest)
}

pub(crate) fn open_log(
    settings: &anole_config::Settings,
    data: &Path,
    telemetry: &Arc<Telemetry>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn DeliveryLog>, Failure> {
    let history = &settings.history;
    let options = LogOptions {
        keep: history.keep.duration(),
        keep_bodies: history.keep_bodies.duration(),
        keep_statistics: history.keep_statistics.duration(),
        ..LogOptions::in_folder(data).limited(history.max_bytes.bytes(), history.max_body_bytes.bytes())
    };
    let log = anole_delivery_log::Sqlite::open(&options, Arc::clone(telemetry), Arc::clone(clock))?;
    Ok(log)
}

async fn collect(
    options: ListenOptions,
    ingest: &Arc<Ingest>,
    front: Option<Front>,
    telemetry: &Arc<Telemetry>,
) -> Result<(SocketAddr, (Shutdown, JoinHandle<()>)), Failure> {
    let listener = Listener::bind(options, Arc::clone(telemetry)).await.map_err(Failure::of)?;
    let address = listener.local_addr();
    let shutdown = Shutdown::new();
    let ingest = Arc::clone(ingest);
    let service = move |request: Request<Incoming>, peer: Peer| {
        let (ingest, front) = (Arc::clone(&ingest), front.clone());
        async move {
            match front.and_then(|front| front(&request)) {
                Some(answer) => answer,
                None => Arc::clone(&ingest).handle(request, peer).await,
            }
        }
    };
    let task = tokio::spawn(listener.serve(service, shutdown.clone()));
    Ok((address, (shutdown, task)))
}

/// How a listener listens.
fn listen_options(name: &'static str, settings: &anole_config::Settings, certificates: &Certificates) -> ListenOptions {
    let (address, connections) = match name {
        "collect" => (settings.collect.listen, settings.collect.connections),
        _ => (settings.admin.listen, settings.admin.connections),
    };
    ListenOptions {
        max_connections: connections.max.unwrap_or(ADMIN_CONNECTIONS) as usize,
        max_per_address: connections.max_per_address,
        uncounted: settings.collect.trusted_proxies.iter().map(|network| network.0).collect(),
        tls: certificates.of(name),
        header_timeout: connections.header_timeout.duration(),
        idle_timeout: connections.idle_timeout.duration(),
        write_timeout: connections.write_timeout.duration(),
        ..ListenOptions::new(name, address)
    }
}

async fn administer(
    mut options: ListenOptions,
    settings: &anole_config::Settings,
    looks: Looks,
    (delivery, forgetter): (&Arc<Delivery>, Arc<Forgetter>),
    ingest: &Arc<Ingest>,
    (reloader, telemetry, clock): (&Arc<Reloader>, &Arc<Telemetry>, Arc<dyn Clock>),
) -> Result<(SocketAddr, (Shutdown, JoinHandle<()>)), Failure> {
    // A viewer of the live feed that has stopped to read is to be noticed before megabytes are held for it.
    options.send_buffer = Some(64 << 10);
    options.grace = Duration::from_secs(1);
    let listener = Listener::bind(options, Arc::clone(telemetry)).await.map_err(Failure::of)?;
    let address = listener.local_addr();
    let shutdown = Shutdown::new();
    let ready = {
        let ingest = Arc::clone(ingest);
        Arc::new(move || ingest.ready().map_err(ToString::to_string))
    };
    let router = router(Admin {
        looks,
        delivery: Arc::clone(delivery),
        forgetter,
        telemetry: Arc::clone(telemetry),
        ready,
        files: Arc::new(ForApi(Arc::clone(reloader))),
        pulse: Pulse::watch(Arc::clone(telemetry), Arc::clone(delivery), Arc::clone(&clock), shutdown.clone()),
        desk: Arc::new(crate::desk::Files::of(settings)),
        version: crate::VERSION,
        token: settings.admin.token.as_ref().map(|token| token.reveal().into()),
        limits: journal_limits(settings),
        clock,
        shutdown: shutdown.clone(),
    });
    let connections = settings.admin.connections;
    let limits = Pace { idle: connections.body_idle_timeout.duration(), whole: connections.body_timeout.duration() };
    let task = tokio::spawn(listener.serve(tower_service(router, limits), shutdown.clone()));
    Ok((address, (shutdown, task)))
}

pub(crate) fn journal_options(journal: &anole_config::Journal, folder: PathBuf) -> EmbeddedOptions {
    let options = EmbeddedOptions {
        ack: match journal.ack {
            anole_config::Ack::Fsync => AckLevel::Fsync,
            anole_config::Ack::Write => AckLevel::Write,
            anole_config::Ack::Memory => AckLevel::Memory,
        },
        keep: journal.keep.duration(),
        on_full: match journal.on_full {
            anole_config::OnFull::Refuse => OnFull::Refuse,
            anole_config::OnFull::DropOldest => OnFull::DropOldest,
        },
        ..EmbeddedOptions::new(folder)
    };
    options.limited(journal.max_bytes.bytes())
}

/// What is shown of the journal's settings.
pub(crate) fn journal_limits(settings: &anole_config::Settings) -> JournalLimits {
    JournalLimits {
        dir: settings.data_dir.join("journal"),
        keep: settings.journal.keep.duration(),
        max_bytes: settings.journal.max_bytes.bytes(),
        on_full: match settings.journal.on_full {
            anole_config::OnFull::Refuse => "refuse",
            anole_config::OnFull::DropOldest => "drop_oldest",
        },
    }
}

pub(crate) fn state_options(settings: &anole_config::Settings, data: &Path) -> StateOptions {
    StateOptions {
        identities: settings.state.identities,
        identity_age: settings.state.identity_age.duration(),
        ..StateOptions::in_folder(data)
    }
}

fn delivery_options(settings: &anole_config::Settings) -> Result<DeliveryOptions, Failure> {
    let delivery = &settings.delivery;
    let ca = delivery.ca_file.as_ref().map(|file| {
        std::fs::read(file)
            .map_err(|error| Failure::Wrong(format!("anole: delivery.ca_file: {}: {error}", file.display())))
    });
    Ok(DeliveryOptions {
        lane: LaneOptions { probe_every: delivery.probe_every.duration(), ..LaneOptions::default() },
        sender: SenderOptions {
            timeout: delivery.timeout.duration(),
            allow_private_addresses: delivery.allow_private_addresses,
            proxy: delivery.proxy.clone(),
            ca: ca.transpose()?,
            ..SenderOptions::default()
        },
        keep: KeepOptions {
            keep: settings.journal.keep.duration(),
            backup_every: settings.state.backup_every.duration(),
        },
    })
}

fn ingest_options(settings: &anole_config::Settings) -> IngestOptions {
    let collect = &settings.collect;
    IngestOptions {
        max_event_bytes: collect.max_event_bytes.len(),
        max_events: collect.max_batch_events,
        max_body_bytes: collect.max_body_bytes.len(),
        body_idle_timeout: collect.connections.body_idle_timeout.duration(),
        body_timeout: collect.connections.body_timeout.duration(),
        trusted_proxies: collect.trusted_proxies.iter().map(|network| network.0).collect(),
        cookie: collect.cookie.clone(),
        collector: collect.collector.clone(),
        rates: RateLimits { per_key: collect.rate_limit.per_key, per_address: collect.rate_limit.per_address },
        // What is neither was refused when the settings were read.
        ga4_status: if collect.ga4_status == 200 { StatusCode::OK } else { StatusCode::NO_CONTENT },
        ..IngestOptions::default()
    }
}
