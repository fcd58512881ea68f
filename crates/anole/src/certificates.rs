//! The certificates of the listeners: read at the start, and again when their files change.
//!
//! They are looked at once a second, and read once two looks in a row see the same, as an ACME client writes certificate and
//! key one after the other. Each listener's pair comes into force when it is right, whatever else is wrong: with another
//! listener's, or with pipelines. A pair that is wrong is told in the log, by a metric, on the console's first line and to
//! whoever asks for a reload; the one before it stays. So is one that has ended, as long as the one in force has not: that is a
//! copy of the wrong folder. At the start a certificate that has ended is only a warning: to refuse it would stop deliveries
//! as well, and clients see what is wrong.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_config::{Code, ConfigErrors, Problem, Settings, Severity, Tls as Files};
use anole_event::{Clock, Timestamp};
use anole_http::{Pair, Tls, TlsError};
use anole_telemetry::{CertificateInForce, CertificateRefused, CertificatesReloaded, Said, Telemetry};

use crate::failure::Failure;
use crate::files::wrong;
use crate::lock::{Running, announce};
use crate::watch::{Quiet, Seen};

/// How often the files are looked at; also how long they must have been quiet.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is said that a certificate ends soon.
const REMIND: Duration = Duration::from_secs(24 * 3600);
/// A certificate ends soon when it has less than this, or less than a sixth of its life. ACME clients renew with a third left.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// The certificates in force, of those listeners that have one.
pub(crate) struct Certificates {
    all: Vec<Served>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    /// What the files were when they were last read.
    seen: Mutex<Seen>,
    /// The first that is wrong, when any was refused then.
    refused: Mutex<Option<String>>,
    /// One reading at a time.
    reading: Mutex<()>,
    /// Where it is announced which certificates are in force.
    announced: Mutex<Option<(PathBuf, Running)>>,
}

struct Served {
    listener: &'static str,
    files: Files,
    tls: Arc<Tls>,
}

// === impl Certificates ===

impl Certificates {
    /// Reads those that the settings name.
    pub(crate) fn open(
        settings: &Settings,
        telemetry: &Arc<Telemetry>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Failure> {
        let seen = Seen::of_files(&named(settings).into_iter().flat_map(|(_, files)| paths(files)).collect::<Vec<_>>());
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for (listener, files) in named(settings) {
            match read(listener, files).and_then(|pair| Tls::new(pair).map_err(|error| told(listener, &error))) {
                Ok(tls) => all.push(Served { listener, files: files.clone(), tls }),
                Err(problem) => problems.push(*problem),
            }
        }
        if !problems.is_empty() {
            return Err(wrong(&ConfigErrors::new(problems)));
        }
        let this = Self {
            all,
            telemetry: Arc::clone(telemetry),
            clock: Arc::clone(clock),
            seen: Mutex::new(seen),
            refused: Mutex::default(),
            reading: Mutex::default(),
            announced: Mutex::default(),
        };
        this.all.iter().for_each(|served| this.in_force(served));
        this.remind();
        Ok(Arc::new(this))
    }

    /// What a listener presents.
    pub(crate) fn of(&self, listener: &str) -> Option<Arc<Tls>> {
        self.all.iter().find(|served| served.listener == listener).map(|served| Arc::clone(&served.tls))
    }

    /// The fingerprint of what a listener presents.
    pub(crate) fn fingerprint(&self, listener: &str) -> Option<String> {
        self.of(listener).map(|tls| tls.pair().fingerprint().to_owned())
    }

    /// From now on changes are announced in this file's folder.
    pub(crate) fn announce_in(&self, folder: PathBuf, running: Running) {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some((folder, running));
    }

    /// Reads the files again and puts those in force that are right; what is wrong with the others. Blocking.
    pub(crate) fn reload(&self) -> Result<(), ConfigErrors> {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at first: what is written while the files are read is then a change that is still to be read.
        let seen = self.look();
        let changed =
            std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), seen.clone()) != seen;
        let mut problems = Vec::new();
        for served in &self.all {
            match read(served.listener, &served.files).and_then(|pair| self.is_no_step_back(served, pair)) {
                Ok(pair) => {
                    let before = served.tls.pair();
                    served.tls.replace(pair);
                    if before.fingerprint() != served.tls.pair().fingerprint() {
                        self.in_force(served);
                    }
                }
                Err(problem) => problems.push(*problem),
            }
        }
        self.announce();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = problems.first().map(ToString::to_string);
        if problems.is_empty() {
            if changed {
                self.telemetry.emit(CertificatesReloaded);
                self.remind();
            }
            return Ok(());
        }
        let errors = ConfigErrors::new(problems);
        self.telemetry.emit(CertificateRefused { error: &errors.render(false) });
        Err(errors)
    }

    /// What was wrong with the files when they were last read, in a line.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses a certificate that has ended where the one in force has not.
    fn is_no_step_back(&self, served: &Served, pair: Pair) -> Result<Pair, Box<Problem>> {
        let now = self.clock.wall();
        if pair.ends() > now || served.tls.pair().ends() <= now {
            return Ok(pair);
        }
        let message = format!("{}.tls: the new certificate has ended at {}", served.listener, pair.ends());
        let expected = "the one in force is still valid and stays: look where the new one comes from";
        Err(Box::new(Problem::of_all(Code::CertificateExpiry, message, expected)))
    }

    fn in_force(&self, served: &Served) {
        let pair = served.tls.pair();
        let (listener, fingerprint, ends) = (served.listener, pair.fingerprint(), pair.ends());
        self.telemetry.emit(CertificateInForce { listener, fingerprint, ends });
    }

    /// Says which of those in force need somebody's attention.
    fn remind(&self) {
        let now = self.clock.wall();
        for served in &self.all {
            for problem in attention(served.listener, &served.tls.pair(), now) {
                self.telemetry.emit(Said(&problem.to_string()));
            }
        }
    }

    fn announce(&self) {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((folder, running)) = &mut *announced else { return };
        let now = Running {
            collect_certificate: self.fingerprint("collect"),
            admin_certificate: self.fingerprint("admin"),
            ..running.clone()
        };
        if *running != now {
            *running = now;
            if let Err(error) = announce(folder, running) {
                let text = format!("the other verbs will not trust this daemon until it is started again: {error}");
                self.telemetry.emit(Said(&text));
            }
        }
    }

    fn look(&self) -> Seen {
        Seen::of_files(&self.all.iter().flat_map(|served| paths(&served.files)).collect::<Vec<_>>())
    }
}

/// Reads certificates again whenever their files have changed, for as long as the daemon runs.
pub(crate) async fn watch(certificates: Arc<Certificates>) {
    if certificates.all.is_empty() {
        return;
    }
    let (mut quiet, mut reminded) = (Quiet::default(), certificates.clock.mono());
    loop {
        tokio::time::sleep(EVERY).await;
        let looking = Arc::clone(&certificates);
        // The look itself does not panic; without one there is nothing to compare.
        let Ok(now) = tokio::task::spawn_blocking(move || looking.look()).await else { continue };
        if *certificates.seen.lock().unwrap_or_else(PoisonError::into_inner) == now {
            quiet.settle();
        } else if quiet.is_due(now) {
            let reading = Arc::clone(&certificates);
            // Whoever changed the files is told by the log.
            let _told = tokio::task::spawn_blocking(move || reading.reload()).await;
        }
        if certificates.clock.mono().since(reminded) >= REMIND {
            reminded = certificates.clock.mono();
            certificates.remind();
        }
    }
}

/// What is wrong, or worth a look, with the certificates that the settings name.
pub(crate) fn problems(settings: &Settings, now: Timestamp) -> Vec<Problem> {
    let of = |(listener, files)| match read(listener, files) {
        Ok(pair) => attention(listener, &pair, now),
        Err(problem) => vec![*problem],
    };
    named(settings).into_iter().flat_map(of).collect()
}

/// Whether any of them stops a daemon from starting.
pub(crate) fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity() == Severity::Error)
}

/// The listeners that have certificates.
fn named(settings: &Settings) -> Vec<(&'static str, &Files)> {
    let all = [("collect", &settings.collect.tls), ("admin", &settings.admin.tls)];
    all.into_iter().filter_map(|(listener, files)| files.as_ref().map(|files| (listener, files))).collect()
}

fn paths(files: &Files) -> [PathBuf; 2] {
    [files.certificate.clone(), files.key.clone()]
}

fn read(listener: &str, files: &Files) -> Result<Pair, Box<Problem>> {
    Pair::read(&files.certificate, &files.key).map_err(|error| told(listener, &error))
}

fn told(listener: &str, error: &TlsError) -> Box<Problem> {
    let code = if error.is_mismatch() { Code::CertificateMismatch } else { Code::BadCertificate };
    Box::new(Problem::of_all(code, format!("{listener}.tls: {error}"), error.expected()))
}

/// What is worth a look with a pair that can be used.
fn attention(listener: &str, pair: &Pair, now: Timestamp) -> Vec<Problem> {
    let warn = |code, message: String, expected: &str| Problem::warning_of_all(code, message, expected);
    let mut problems = Vec::new();
    let soon = SOON.min(pair.ends().since(pair.begins()) / 6);
    let renew = "renew it: anole reads the files again when they change";
    if pair.ends() <= now {
        let message = format!("{listener}.tls: the certificate has ended at {}: clients refuse it", pair.ends());
        problems.push(warn(Code::CertificateExpiry, message, renew));
    } else if pair.ends().since(now) < soon {
        let message = format!("{listener}.tls: the certificate ends at {}", pair.ends());
        problems.push(warn(Code::CertificateExpiry, message, renew));
    } else if pair.begins() > now {
        let message = format!("{listener}.tls: the certificate is not valid before {}", pair.begins());
        problems.push(warn(
            Code::CertificateExpiry,
            message,
            "look at the clocks of this machine and of the authority",
        ));
    }
    if pair.is_exposed() {
        let message = format!("{listener}.tls.key: every user of this machine may read the key");
        problems.push(warn(Code::ExposedKey, message, "chmod 640, and the group as whom anole runs"));
    }
    problems
}
