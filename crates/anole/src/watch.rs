//! Seeing that files have changed.
//!
//! The folders are looked at twice a second, and a change counts once two looks in a row see the same: so several files that
//! are written within a moment, and an editor's dance of writing beside, renaming and deleting, are one change.
//!
//! Rejected: to be told by the operating system (inotify, by the `notify` crate). It is told of the folder that was there when
//! the watch began, and not of one that is put in its place (a symbolic link that is turned to a new release, a volume that
//! is mounted again), nor of changes that another machine makes on a shared disk; its queue overflows; and it needs the same
//! waiting for quiet. A look costs a few microseconds for each file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anole_config::{Settings, yaml_files};

use crate::reload::{By, Reloader};

/// How often the folders are looked at; also how long files must have been quiet.
const EVERY: Duration = Duration::from_millis(500);
/// After so many looks in a row that each saw something else, what is there is taken: a program that writes a file anew all
/// the time must not keep a change out for ever.
const MOST_UNQUIET: u32 = 20;

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// `anole.yaml`: a change of it takes a restart, and is said.
    file: PathBuf,
    folders: Vec<PathBuf>,
}

/// What a look saw. Two that are equal saw the same files with the same contents, as far as the file system tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Vec<(PathBuf, Option<Mark>)>);

/// What changes with a file. The time of its last change of any kind is among it, which a program cannot set back: a
/// copy that keeps times and sizes is seen too. Symbolic links are followed, so one that is turned elsewhere is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Waits until files that have changed are quiet.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    before: Option<Seen>,
    unquiet: u32,
}

// === impl Watched ===

impl Watched {
    pub(crate) fn new(config: Option<&Path>, settings: &Settings) -> Self {
        let file = config.unwrap_or(Path::new("anole.yaml")).to_owned();
        // The default folder of blueprints may come later.
        let beside = || file.parent().unwrap_or(Path::new("")).join("blueprints");
        let blueprints = settings.blueprints.clone().unwrap_or_else(beside);
        Self { folders: vec![settings.pipelines.clone(), blueprints], file }
    }

    /// Looks. Blocking, and on a network's disk perhaps for long.
    pub(crate) fn look(&self) -> Seen {
        let mut seen = vec![(self.file.clone(), Mark::of(&self.file))];
        for folder in &self.folders {
            // A folder that cannot be read is a change too; loading says what is wrong with it.
            match yaml_files(folder) {
                Ok(files) => seen.extend(files.into_iter().map(|file| (file.clone(), Mark::of(&file)))),
                Err(_) => seen.push((folder.clone(), None)),
            }
        }
        Seen(seen)
    }
}

// === impl Seen ===

impl Seen {
    /// Looks at single files. Blocking.
    pub(crate) fn of_files(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| (file.clone(), Mark::of(file))).collect())
    }
}

// === impl Mark ===

impl Mark {
    fn of(file: &Path) -> Option<Self> {
        std::fs::metadata(file).ok().map(|about: Metadata| Self {
            file: (about.dev(), about.ino()),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

// === impl Quiet ===

impl Quiet {
    /// Whether files that look like this now, and have changed since they were read, are to be read.
    pub(crate) fn is_due(&mut self, now: Seen) -> bool {
        self.unquiet += 1;
        if self.before.as_ref() == Some(&now) || self.unquiet > MOST_UNQUIET {
            self.settle();
            return true;
        }
        self.before = Some(now);
        false
    }

    /// Nothing has changed.
    pub(crate) fn settle(&mut self) {
        *self = Self::default();
    }
}

/// Reloads whenever files have changed, for as long as the daemon runs.
pub(crate) async fn watch(reloader: Arc<Reloader>) {
    let mut quiet = Quiet::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let watched = reloader.watched().clone();
        // The look itself does not panic; without one there is nothing to compare.
        let Ok(now) = tokio::task::spawn_blocking(move || watched.look()).await else { continue };
        if reloader.has_seen(&now) {
            quiet.settle();
        } else if quiet.is_due(now) {
            // Whoever changed the files is told by the log.
            let _told = reloader.reload(By::Files).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.write("pipelines/shop.yaml", "one");
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn look(&self) -> Seen {
            let settings = Settings { pipelines: self.path("pipelines"), blueprints: None, ..Settings::default() };
            Watched::new(Some(&self.path("anole.yaml")), &settings).look()
        }

        /// Whether a look sees that something has changed.
        fn sees(&self, change: impl FnOnce(&Self)) -> bool {
            let before = self.look();
            assert_eq!(before, self.look(), "nothing has changed yet");
            change(self);
            before != self.look()
        }
    }

    #[test]
    fn a_file_that_is_written_renamed_added_or_removed_is_seen() {
        let place = Place::new();
        assert!(place.sees(|place| place.write("pipelines/shop.yaml", "longer")), "written");
        assert!(place.sees(|place| place.write("pipelines/blog.yml", "two")), "added");
        assert!(
            place.sees(|place| {
                place.write("pipelines/.shop.yaml.swp", "edited");
                std::fs::rename(place.path("pipelines/.shop.yaml.swp"), place.path("pipelines/shop.yaml")).unwrap();
            }),
            "renamed into its place"
        );
        assert!(
            place.sees(|place| {
                std::fs::remove_file(place.path("pipelines/shop.yaml")).unwrap();
                place.write("pipelines/shop.yaml", "edited");
            }),
            "deleted and made anew with the same contents"
        );
        assert!(place.sees(|place| std::fs::remove_file(place.path("pipelines/blog.yml")).unwrap()), "removed");
        assert!(place.sees(|place| place.write("blueprints/own.yaml", "a folder that was not there")), "blueprints");
        assert!(place.sees(|place| place.write("anole.yaml", "settings")), "settings");
        assert!(place.sees(|place| std::fs::remove_dir_all(place.path("pipelines")).unwrap()), "the folder is gone");
    }

    #[test]
    fn files_are_read_once_they_are_quiet_and_at_last_also_when_they_never_are() {
        let place = Place::new();
        let mut looks = (0..100).map(|number| {
            place.write("pipelines/shop.yaml", &"x".repeat(number));
            place.look()
        });
        let mut quiet = Quiet::default();
        let (first, second) = (looks.next().unwrap(), looks.next().unwrap());
        assert!(!quiet.is_due(first.clone()));
        assert!(!quiet.is_due(second.clone()), "still changing");
        assert!(quiet.is_due(second.clone()), "quiet");
        assert!(!quiet.is_due(first), "a next change waits anew");
        quiet.settle();
        assert!(!quiet.is_due(second), "and begins anew when what was seen has gone back");
        let due = looks.take(20).map(|look| quiet.is_due(look)).filter(|due| *due).count();
        assert_eq!(due, 1, "ten seconds of changes");
    }

    #[test]
    fn what_an_editor_keeps_beside_and_what_is_no_yaml_is_passed_over() {
        let place = Place::new();
        assert!(!place.sees(|place| place.write("pipelines/.shop.yaml.swp", "edited")));
        assert!(!place.sees(|place| place.write("pipelines/shop.yaml~", "edited")));
        assert!(!place.sees(|place| place.write("pipelines/notes.txt", "edited")));
    }

    #[test]
    fn a_mounted_config_map_is_seen_when_its_link_is_turned() {
        let place = Place::new();
        std::fs::remove_file(place.path("pipelines/shop.yaml")).unwrap();
        place.write("pipelines/..v1/shop.yaml", "one");
        symlink("..v1", place.path("pipelines/..data")).unwrap();
        symlink("..data/shop.yaml", place.path("pipelines/shop.yaml")).unwrap();
        assert!(place.sees(|place| {
            place.write("pipelines/..v2/shop.yaml", "two");
            symlink("..v2", place.path("pipelines/..data_tmp")).unwrap();
            std::fs::rename(place.path("pipelines/..data_tmp"), place.path("pipelines/..data")).unwrap();
        }));
    }

    #[test]
    fn a_folder_that_is_a_link_to_a_release_is_seen_when_the_link_is_turned() {
        let place = Place::new();
        place.write("release-2/shop.yaml", "two");
        std::fs::rename(place.path("pipelines"), place.path("release-1")).unwrap();
        symlink("release-1", place.path("pipelines")).unwrap();
        assert!(place.sees(|place| {
            symlink("release-2", place.path("next")).unwrap();
            std::fs::rename(place.path("next"), place.path("pipelines")).unwrap();
        }));
    }
}
