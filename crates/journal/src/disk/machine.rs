//! The state of a simulated disk: its files, whether it has power, and what is to go wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::{Component, Path};

use anole_event::{Random, Seeded};

use super::content::Content;
use super::folder::{Names, Number};
use super::simulated::{Call, Cut, DiskOptions, Syncs};
use super::{EIO, Space};

const ROOT: Number = 0;
/// `ENOSPC`: the disk is full.
const ENOSPC: i32 = 28;
/// How many bytes of removed files are remembered, to turn up in new space.
const STALE: usize = 64 * 1024;
/// What a disk without a limit claims to have.
const ENDLESS: u64 = 1 << 40;

/// The state of a disk.
#[derive(Debug)]
pub(super) struct Machine {
    nodes: BTreeMap<Number, Node>,
    next: Number,
    pub(super) options: DiskOptions,
    random: Seeded,
    off: Option<Cut>,
    /// Which life of the process this is: handles of an earlier one lead nowhere.
    life: u64,
    operations: u64,
    errors: u64,
    cut_at: Option<(u64, Cut)>,
    plans: BTreeMap<Call, VecDeque<Option<i32>>>,
    unreadable: Vec<(Number, Range<u64>)>,
    stale: Vec<u8>,
}

#[derive(Debug)]
enum Node {
    File { content: Content, open: u32 },
    Folder(Names),
}

/// What is to go wrong with a call.
enum Trouble {
    /// It fails so.
    Error(i32),
    /// The power, or the process, goes while it is under way: nobody knows whether it was done.
    Cut,
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(seed: u64, options: DiskOptions) -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Folder(Names::default()))]),
            next: ROOT + 1,
            options,
            random: Seeded::new(seed),
            off: None,
            life: 0,
            operations: 0,
            errors: 0,
            cut_at: None,
            plans: BTreeMap::new(),
            unreadable: Vec::new(),
            stale: Vec::new(),
        }
    }

    pub(super) const fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) const fn errors(&self) -> u64 {
        self.errors
    }

    pub(super) const fn life(&self) -> u64 {
        self.life
    }

    pub(super) const fn is_on(&self) -> bool {
        self.off.is_none()
    }

    pub(super) const fn cut_after(&mut self, operations: u64, cut: Cut) {
        self.cut_at = Some((self.operations + operations, cut));
    }

    pub(super) fn plan(&mut self, call: Call, ends: impl Iterator<Item = Option<i32>>) {
        self.plans.entry(call).or_default().extend(ends);
    }

    pub(super) fn spoil(&mut self, path: &Path, bytes: Range<u64>) -> io::Result<()> {
        let number = self.find(path)?;
        self.unreadable.push((number, bytes));
        Ok(())
    }

    pub(super) fn heal(&mut self) {
        self.cut_at = None;
        self.plans.clear();
        self.unreadable.clear();
    }

    pub(super) const fn switch_off(&mut self, cut: Cut) {
        // A process that was killed may lose its power afterwards, but not the other way round.
        if !matches!(self.off, Some(Cut::Power)) {
            self.off = Some(cut);
        }
    }

    pub(super) fn switch_on(&mut self) {
        self.cut_at = None;
        let Some(cut) = self.off.take() else { return };
        self.life += 1;
        for node in self.nodes.values_mut() {
            match node {
                Node::File { content, open } => {
                    *open = 0;
                    if cut == Cut::Power {
                        content.cut(&self.stale, &mut self.random);
                    }
                }
                Node::Folder(names) if cut == Cut::Power => names.cut(&mut self.random),
                Node::Folder(_) => {}
            }
        }
        self.sweep();
    }

    /// What goes wrong with this call, if anything; an error when there is nobody to call.
    fn begin(&mut self, call: Call) -> io::Result<Option<Trouble>> {
        if self.off.is_some() {
            return Err(off());
        }
        self.operations += 1;
        if let Some((at, cut)) = self.cut_at
            && self.operations >= at
        {
            self.off = Some(cut);
            return Ok(Some(Trouble::Cut));
        }
        let error = self.plans.get_mut(&call).and_then(VecDeque::pop_front).flatten();
        self.errors += u64::from(error.is_some());
        Ok(error.map(Trouble::Error))
    }

    /// For calls that are done or not done, and nothing between.
    fn whole<T>(&mut self, call: Call, act: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.begin(call)? {
            None => act(self),
            Some(Trouble::Error(error)) => Err(io::Error::from_raw_os_error(error)),
            Some(Trouble::Cut) => {
                if self.random.below(2) == 0 {
                    act(self)?;
                }
                Err(off())
            }
        }
    }

    /// An error when there is nobody to call.
    fn alive(&self) -> io::Result<()> {
        if self.off.is_some() { Err(off()) } else { Ok(()) }
    }

    // --- paths ---

    fn find(&self, path: &Path) -> io::Result<Number> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            at = self.names(at)?.get(&text(name)).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn find_parent(&self, path: &Path) -> io::Result<(Number, String)> {
        let name = path.file_name().map(text).ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, name))
    }

    fn names(&self, number: Number) -> io::Result<&Names> {
        match self.nodes.get(&number) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn names_mut(&mut self, number: Number) -> io::Result<&mut Names> {
        match self.nodes.get_mut(&number) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn content(&self, number: Number) -> io::Result<&Content> {
        match self.nodes.get(&number) {
            Some(Node::File { content, .. }) => Ok(content),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn content_mut(&mut self, number: Number) -> io::Result<(&mut Content, &mut Seeded)> {
        match self.nodes.get_mut(&number) {
            Some(Node::File { content, .. }) => Ok((content, &mut self.random)),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn add(&mut self, parent: Number, name: &str, node: Node) -> io::Result<Number> {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.names_mut(parent)?.put(name, number);
        Ok(number)
    }

    // --- folders ---

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let name = text(name);
            at = match self.names(at)?.get(&name) {
                Some(there) => there,
                None => self.whole(Call::Create, |disk| disk.add(at, &name, Node::Folder(Names::default())))?,
            };
        }
        self.names(at).map(drop)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.alive()?;
        Ok(self.names(self.find(path)?)?.list().cloned().collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Call::Rename, |disk| {
            let (folder, old) = disk.find_parent(from)?;
            let (other, new) = disk.find_parent(to)?;
            if folder != other {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let names = disk.names_mut(folder)?;
            let number = names.get(&old).ok_or(io::ErrorKind::NotFound)?;
            if old != new {
                names.rename(&old, &new, number);
            }
            Ok(())
        })
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.whole(Call::Remove, |disk| {
            let (folder, name) = disk.find_parent(path)?;
            let number = disk.names(folder)?.get(&name).ok_or(io::ErrorKind::NotFound)?;
            disk.content(number)?;
            disk.names_mut(folder)?.remove(&name);
            Ok(())
        })
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let trouble = self.begin(Call::SyncFolder)?;
        let number = self.find(path)?;
        let does_nothing = matches!(self.options.syncs, Syncs::Ignored | Syncs::FoldersIgnored);
        let Some(Node::Folder(names)) = self.nodes.get_mut(&number) else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        match trouble {
            // What had reached the disk by then is chosen when the power comes back.
            Some(Trouble::Cut) => return Err(off()),
            Some(Trouble::Error(error)) => {
                names.fail_sync(&mut self.random);
                return Err(io::Error::from_raw_os_error(error));
            }
            None if does_nothing => {}
            None => {
                names.sync();
                self.sweep();
            }
        }
        Ok(())
    }

    // --- files ---

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Number> {
        self.whole(Call::Create, |disk| {
            let (folder, name) = disk.find_parent(path)?;
            let number = match disk.names(folder)?.get(&name) {
                Some(number) => {
                    disk.content_mut(number)?.0.set_len(0);
                    number
                }
                None => disk.add(folder, &name, Node::File { content: Content::default(), open: 0 })?,
            };
            disk.hold(number)
        })
    }

    pub(super) fn open(&mut self, path: &Path) -> io::Result<Number> {
        self.alive()?;
        let number = self.find(path)?;
        self.hold(number)
    }

    fn hold(&mut self, number: Number) -> io::Result<Number> {
        match self.nodes.get_mut(&number) {
            Some(Node::File { open, .. }) => *open += 1,
            _ => return Err(io::ErrorKind::IsADirectory.into()),
        }
        Ok(number)
    }

    pub(super) fn close(&mut self, number: Number, life: u64) {
        if let (true, Some(Node::File { open, .. })) = (life == self.life, self.nodes.get_mut(&number)) {
            *open = open.saturating_sub(1);
        }
    }

    /// Handles of a process that is no more lead nowhere.
    pub(super) fn check_life(&self, life: u64) -> io::Result<()> {
        if life == self.life { Ok(()) } else { Err(off()) }
    }

    pub(super) fn len(&self, number: Number) -> io::Result<u64> {
        self.alive()?;
        Ok(self.content(number)?.memory().len() as u64)
    }

    pub(super) fn read_at(&self, number: Number, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.alive()?;
        let end = at + into.len() as u64;
        let hit = |(file, bytes): &(Number, Range<u64>)| *file == number && bytes.start < end && at < bytes.end;
        if self.unreadable.iter().any(hit) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(self.content(number)?.read(into, at))
    }

    /// Writes as much as there is room for, or less where the options or an error want it so.
    pub(super) fn write_at(&mut self, number: Number, bytes: &[u8], at: u64) -> io::Result<usize> {
        let trouble = self.begin(Call::Write)?;
        let room = self.room(number).saturating_sub(at);
        let mut most = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let is_full = most == 0 && !bytes.is_empty();
        if trouble.is_some() || (self.options.short_writes && most > 1 && self.random.below(3) == 0) {
            let least = usize::from(trouble.is_none());
            most = least + usize::try_from(self.random.below((most - least) as u64 + 1)).unwrap_or(0);
        }
        if most > 0 {
            self.content_mut(number)?.0.write(&bytes[..most], at);
        }
        match trouble {
            Some(Trouble::Cut) => Err(off()),
            Some(Trouble::Error(error)) => Err(io::Error::from_raw_os_error(error)),
            None if is_full => Err(io::Error::from_raw_os_error(ENOSPC)),
            None => Ok(most),
        }
    }

    pub(super) fn sync(&mut self, number: Number) -> io::Result<()> {
        let trouble = self.begin(Call::Sync)?;
        let does_nothing = matches!(self.options.syncs, Syncs::Ignored | Syncs::FilesIgnored);
        let (content, random) = self.content_mut(number)?;
        match trouble {
            Some(Trouble::Cut) => return Err(off()),
            Some(Trouble::Error(error)) => {
                content.fail_sync(random);
                return Err(io::Error::from_raw_os_error(error));
            }
            None if does_nothing => {}
            None => content.sync(),
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, number: Number, length: u64) -> io::Result<()> {
        self.whole(Call::SetLen, |disk| {
            if disk.room(number) < length {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            let content = disk.content_mut(number)?.0;
            if content.memory().len() as u64 != length {
                content.set_len(length);
            }
            Ok(())
        })
    }

    pub(super) fn reserve(&mut self, number: Number, length: u64) -> io::Result<()> {
        self.whole(Call::Reserve, |disk| {
            if disk.room(number) < length {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            let content = disk.content_mut(number)?.0;
            if (content.memory().len() as u64) < length {
                content.set_len(length);
            }
            Ok(())
        })
    }

    /// Puts bytes in a file as if they had always been there.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.alive()?;
        let (folder, name) = self.find_parent(path)?;
        let number = match self.names(folder)?.get(&name) {
            Some(number) => number,
            None => self.add(folder, &name, Node::File { content: Content::default(), open: 0 })?,
        };
        self.names_mut(folder)?.sync();
        let content = self.content_mut(number)?.0;
        content.set_len(0);
        content.write(bytes, 0);
        content.sync();
        Ok(())
    }

    // --- space ---

    pub(super) fn space(&self, path: &Path) -> io::Result<Space> {
        self.alive()?;
        self.find(path)?;
        let total = self.options.capacity.unwrap_or(ENDLESS);
        Ok(Space { free: total.saturating_sub(self.used()), total })
    }

    /// What can be reached by name or by handle. A removed file gives its space back at once.
    pub(super) fn used(&self) -> u64 {
        let length = |number: &Number| self.content(*number).map_or(0, |content| content.memory().len() as u64);
        self.reached(Names::numbers).iter().map(length).sum()
    }

    /// Up to which length this file may grow.
    fn room(&self, number: Number) -> u64 {
        let Some(capacity) = self.options.capacity else { return u64::MAX };
        let own = self.content(number).map_or(0, |content| content.memory().len() as u64);
        own + capacity.saturating_sub(self.used())
    }

    /// Everything that handles and names lead to.
    fn reached<'a, I: Iterator<Item = Number>>(&'a self, of: impl Fn(&'a Names) -> I) -> BTreeSet<Number> {
        let is_open = |(number, node): (&Number, &Node)| match node {
            Node::File { open, .. } if *open > 0 => Some(*number),
            Node::File { .. } | Node::Folder(_) => None,
        };
        let mut reached: BTreeSet<_> = self.nodes.iter().filter_map(is_open).chain([ROOT]).collect();
        let mut new = vec![ROOT];
        while let Some(number) = new.pop() {
            if let Some(Node::Folder(names)) = self.nodes.get(&number) {
                new.extend(of(names).filter(|number| reached.insert(*number)));
            }
        }
        reached
    }

    /// Forgets what nothing leads to any more, also after a loss of power.
    fn sweep(&mut self) {
        let reached = self.reached(Names::reach);
        let stale = &mut self.stale;
        self.nodes.retain(|number, node| {
            let kept = reached.contains(number);
            if let (false, Node::File { content, .. }) = (kept, node) {
                stale.extend_from_slice(content.memory());
            }
            kept
        });
        self.stale.drain(..self.stale.len().saturating_sub(STALE));
    }
}

fn off() -> io::Error {
    io::Error::other("the simulated machine is switched off")
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}
