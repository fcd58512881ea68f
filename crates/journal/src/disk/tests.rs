//! What the simulated disk keeps, loses and refuses.

use std::collections::BTreeSet;

use super::simulated::{Call, Cut, Disk, DiskOptions, Syncs};
use super::*;

const SEEDS: std::ops::Range<u64> = 0..200;
const ENOSPC: i32 = 28;

fn disk(seed: u64, options: DiskOptions) -> Disk {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Disk::new(format!("/simulated/disk-tests/{number}"), seed, options)
}

/// A file whose name and bytes are on the disk.
fn settled(disk: &Disk, name: &str, bytes: &[u8]) -> File {
    let file = File::create(&disk.root().join(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    sync_dir(disk.root()).unwrap();
    file
}

fn lose_power(disk: &Disk) {
    disk.switch_off(Cut::Power);
    disk.switch_on();
}

/// What is left of the file `a` after a loss of power, over all seeds.
fn outcomes(act: impl Fn(&Disk)) -> BTreeSet<Option<Vec<u8>>> {
    let one = |seed| {
        let disk = disk(seed, DiskOptions::default());
        act(&disk);
        lose_power(&disk);
        disk.bytes(disk.root().join("a")).ok()
    };
    SEEDS.map(one).collect()
}

fn text(bytes: &str) -> Option<Vec<u8>> {
    Some(bytes.as_bytes().to_vec())
}

#[test]
fn what_was_synced_with_its_name_is_there() {
    assert_eq!(outcomes(|disk| drop(settled(disk, "a", b"kept"))), [text("kept")].into());
}

#[test]
fn a_name_that_was_not_synced_is_there_or_not() {
    let outcomes = outcomes(|disk| {
        let file = File::create(&disk.root().join("a")).unwrap();
        file.write_all_at(b"kept", 0).unwrap();
        file.sync_data().unwrap();
    });
    assert_eq!(outcomes, [None, text("kept")].into());
}

#[test]
fn the_sectors_of_a_write_that_was_not_synced_are_there_each_or_not() {
    let block = |byte: u8| vec![byte; 512];
    let outcomes = outcomes(|disk| {
        let file = settled(disk, "a", &block(b'0'));
        file.write_all_at(&[block(b'1'), block(b'2'), block(b'3')].concat(), 512).unwrap();
    });
    let whole = |second: u8, third: u8, fourth: u8| Some([b'0', second, third, fourth].map(block).concat());
    let cut = |blocks: &[u8]| Some(blocks.iter().map(|byte| block(*byte)).collect::<Vec<_>>().concat());
    for expected in [
        cut(b"0"),
        cut(b"01"),
        cut(b"012"),
        whole(b'1', b'2', b'3'),
        whole(0, b'2', b'3'),
        whole(b'1', 0, b'3'),
        whole(b'1', b'2', 0),
        whole(0, 0, 0),
    ] {
        assert!(outcomes.contains(&expected), "missing: {:?}", expected.map(|bytes| bytes.len()));
    }
    let sectors = outcomes.iter().flatten().flat_map(|bytes| bytes.chunks(512));
    assert!(sectors.into_iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])), "no sector is torn");
}

#[test]
fn a_later_write_may_be_there_without_an_earlier_one() {
    let outcomes = outcomes(|disk| {
        let file = settled(disk, "a", &[b'0'; 2000]);
        file.write_all_at(b"1", 0).unwrap();
        file.write_all_at(b"2", 1500).unwrap();
    });
    let found: BTreeSet<_> = outcomes.iter().flatten().map(|bytes| (bytes[0], bytes[1500])).collect();
    assert_eq!(found, [(b'0', b'0'), (b'1', b'0'), (b'0', b'2'), (b'1', b'2')].into());
}

#[test]
fn a_length_that_was_not_synced_is_the_old_or_the_new_one() {
    let shorter = outcomes(|disk| settled(disk, "a", b"12345").set_len(2).unwrap());
    // The third: the rest of the page was cleared, and the length did not follow.
    assert_eq!(shorter, [text("12345"), text("12"), text("12\0\0\0")].into());
    let longer = outcomes(|disk| settled(disk, "a", b"12345").reserve(7));
    assert_eq!(longer, [text("12345"), text("12345\0\0")].into());
}

#[test]
fn a_rename_that_was_not_synced_leaves_the_old_name_or_the_new_one() {
    for seed in SEEDS {
        let disk = disk(seed, DiskOptions::default());
        settled(&disk, "a", b"a");
        settled(&disk, "b", b"b");
        rename(&disk.root().join("b"), &disk.root().join("a")).unwrap();
        lose_power(&disk);
        let found = (list(disk.root()).unwrap().concat(), disk.bytes(disk.root().join("a")).unwrap());
        assert!([("ab".to_owned(), b"a".to_vec()), ("a".to_owned(), b"b".to_vec())].contains(&found), "{found:?}");
    }
}

#[test]
fn a_removed_file_comes_back_or_not_until_the_folder_is_synced() {
    let remove_it = |disk: &Disk| {
        settled(disk, "a", b"a");
        remove(&disk.root().join("a")).unwrap();
    };
    assert_eq!(outcomes(remove_it), [None, text("a")].into());
    let synced = outcomes(|disk| {
        remove_it(disk);
        sync_dir(disk.root()).unwrap();
    });
    assert_eq!(synced, [None].into());
}

#[test]
fn a_file_that_is_open_stays_the_same_under_a_new_name() {
    let outcomes = outcomes(|disk| {
        let file = settled(disk, "a.tmp", b"1");
        rename(&disk.root().join("a.tmp"), &disk.root().join("a")).unwrap();
        file.write_all_at(b"2", 1).unwrap();
        file.sync_data().unwrap();
        sync_dir(disk.root()).unwrap();
    });
    assert_eq!(outcomes, [text("12")].into());
}

#[test]
fn new_space_may_hold_what_a_removed_file_held() {
    let outcomes = outcomes(|disk| {
        drop(settled(disk, "old", &[b'x'; 4096]));
        remove(&disk.root().join("old")).unwrap();
        sync_dir(disk.root()).unwrap();
        settled(disk, "a", b"").write_all_at(&[b'1'; 2048], 0).unwrap();
    });
    assert!(outcomes.iter().flatten().any(|bytes| bytes.contains(&b'x') && bytes.contains(&b'1')));
    let stale = |bytes: &[u8]| bytes.contains(&b'x');
    assert!(outcomes.iter().flatten().any(|bytes| !stale(bytes) && bytes.contains(&0)));
}

#[test]
fn a_folder_is_there_when_the_one_above_it_was_synced() {
    let inner = |disk: &Disk| {
        create_dir(&disk.root().join("a/b")).unwrap();
        sync_dir(&disk.root().join("a")).unwrap();
    };
    let mut found = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed, DiskOptions::default());
        inner(&disk);
        lose_power(&disk);
        found.insert(list(&disk.root().join("a")).ok());
        inner(&disk);
        sync_dir(disk.root()).unwrap();
        lose_power(&disk);
        assert_eq!(list(&disk.root().join("a")).unwrap(), ["b"]);
    }
    assert_eq!(found, [None, Some(vec!["b".to_owned()])].into());
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_and_brings_nothing_back() {
    let outcomes = outcomes(|disk| {
        let file = settled(disk, "a", b"0");
        file.write_all_at(b"1", 0).unwrap();
        disk.fail(Call::Sync, [Some(EIO)]);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
        file.sync_data().unwrap();
    });
    assert_eq!(outcomes, [text("0"), text("1")].into());
}

#[test]
fn a_killed_process_loses_nothing_of_what_it_had_handed_over() {
    let disk = disk(1, DiskOptions::default());
    let file = File::create(&disk.root().join("a")).unwrap();
    file.write_all_at(b"there", 0).unwrap();
    disk.switch_off(Cut::Process);
    assert!(File::read(&disk.root().join("a")).is_err());
    disk.switch_on();
    assert!(file.write_all_at(b"x", 0).is_err(), "a handle of the process that was killed");
    assert_eq!(disk.bytes(disk.root().join("a")).ok(), text("there"));
}

#[test]
fn the_power_can_go_in_the_middle_of_any_call_and_nothing_works_without_it() {
    let mut written = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed, DiskOptions::default());
        let file = settled(&disk, "a", b"");
        let before = disk.operations();
        disk.switch_off_at(2, Cut::Power);
        file.write_all_at(b"1", 0).unwrap();
        assert!(file.sync_data().is_err());
        assert!(!disk.is_on());
        assert!(file.len().is_err() && file.read_at(0, 1).is_err() && list(disk.root()).is_err());
        assert!(space(disk.root()).is_err() && remove(&disk.root().join("a")).is_err());
        assert_eq!(disk.operations(), before + 2);
        disk.switch_on();
        assert!(file.set_len(0).is_err(), "a handle of before");
        written.insert(disk.bytes(disk.root().join("a")).unwrap());
    }
    assert_eq!(written, [b"".to_vec(), b"1".to_vec(), b"\0".to_vec()].into());
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again_when_a_file_goes() {
    let disk = disk(1, DiskOptions { capacity: Some(100), ..DiskOptions::default() });
    settled(&disk, "a", &[1; 60]);
    assert_eq!(space(disk.root()).unwrap(), Space { free: 40, total: 100 });
    let file = File::create(&disk.root().join("b")).unwrap();
    assert_eq!(file.write_all_at(&[2; 50], 0).unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(file.len().unwrap(), 40, "as much as there was room for");
    assert_eq!(file.set_len(41).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[3; 10], 5).unwrap();
    remove(&disk.root().join("a")).unwrap();
    file.write_all_at(&[2; 50], 0).unwrap();
    assert_eq!(space(disk.root()).unwrap().free, 50);
}

#[test]
fn a_write_that_takes_a_part_is_gone_on_with() {
    let disk = disk(1, DiskOptions { short_writes: true, ..DiskOptions::default() });
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let before = disk.operations();
    settled(&disk, "a", &bytes);
    assert_eq!(disk.bytes(disk.root().join("a")).unwrap(), bytes);
    assert!(disk.operations() > before + 4, "it took several writes");
}

#[test]
fn a_failed_write_may_have_written_some() {
    let mut lengths = BTreeSet::new();
    for seed in SEEDS {
        let disk = disk(seed, DiskOptions::default());
        let file = settled(&disk, "a", b"");
        disk.fail(Call::Write, [None, Some(EIO)]);
        file.write_all_at(b"1", 0).unwrap();
        assert_eq!(file.write_all_at(b"23", 1).unwrap_err().raw_os_error(), Some(EIO));
        lengths.insert(file.len().unwrap());
    }
    assert_eq!(lengths, [1, 2, 3].into());
}

#[test]
fn bytes_that_cannot_be_read_read_as_a_page_of_zeros() {
    let disk = disk(1, DiskOptions::default());
    let file = settled(&disk, "a", &[1; 3 * PAGE]);
    disk.spoil(disk.root().join("a"), 5000..5001).unwrap();
    let read = file.read_at(0, 3 * PAGE).unwrap();
    assert!(read == [[1; PAGE], [0; PAGE], [1; PAGE]].concat());
    disk.heal();
    assert!(file.read_at(0, 3 * PAGE).unwrap() == [1; 3 * PAGE]);
}

#[test]
fn syncs_can_be_made_to_do_nothing() {
    let lost = |syncs| {
        let one = |seed| {
            let disk = disk(seed, DiskOptions { syncs, ..DiskOptions::default() });
            settled(&disk, "a", b"kept");
            lose_power(&disk);
            disk.bytes(disk.root().join("a")).ok()
        };
        SEEDS.map(one).collect::<BTreeSet<_>>()
    };
    assert_eq!(lost(Syncs::Kept), [text("kept")].into());
    assert_eq!(lost(Syncs::FoldersIgnored), [None, text("kept")].into());
    assert!(lost(Syncs::FilesIgnored).contains(&text("")) && !lost(Syncs::FilesIgnored).contains(&None));
    assert!(lost(Syncs::Ignored).is_superset(&[None, text(""), text("kept")].into()));
}

#[test]
fn the_same_seed_and_the_same_calls_give_the_same_disk_and_real_files_stay_real() {
    let real = tempfile::tempdir().unwrap();
    let run = |seed| {
        let disk = disk(seed, DiskOptions { short_writes: true, ..DiskOptions::default() });
        let files = [settled(&disk, "a", b"1"), settled(&disk, "b", b"2")];
        for number in 0..20_u8 {
            files[usize::from(number % 2)].write_all_at(&[number; 700], u64::from(number) * 600).unwrap();
        }
        let outside = File::create(&real.path().join("a")).unwrap();
        outside.write_all_at(b"real", 0).unwrap();
        lose_power(&disk);
        (disk.operations(), ["a", "b"].map(|name| disk.bytes(disk.root().join(name)).unwrap()))
    };
    for seed in 0..20 {
        assert!(run(seed) == run(seed), "{seed}");
    }
    assert!(run(1) != run(2));
    assert_eq!(std::fs::read(real.path().join("a")).unwrap(), b"real");
    assert!(!Path::new("/simulated").exists());
}
