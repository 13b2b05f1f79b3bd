//! Backups on both databases, from one to the other, and what is no backup.

use std::io;
use std::path::Path;

use sea_orm::{DbBackend, Statement};

use super::*;
use crate::backup::{Identities, Manifest, Place, Recipient, RestoreError, Restored, make, new_identity, restore};
use crate::data::{DataDirectory, DeskName};

conformance! {
    every_table_and_column_is_in_a_backup
    a_snapshot_does_not_see_what_is_written_after_it
    a_desk_comes_back_row_by_row_and_goes_on
    a_file_that_was_lost_before_is_told_and_the_rest_is_saved
    a_backup_that_cannot_be_written_says_so
}

/// A desk with something of everything, in a directory of its own.
struct Desk {
    store: Store,
    data: DataDirectory,
    ticket: Ticket,
    recipient: Recipient,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn open(world: World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::at(folder.path().join("desk"));
        let name = DeskName { name: Line::truncating("Nordwind"), help_host: None };
        let held = data.initialize(&name, world.clock.now()).unwrap();
        let (identity, recipient) = new_identity(world.clock.now());
        std::fs::write(folder.path().join("key"), identity.as_bytes()).unwrap();
        let settings = StoreSettings { key: held.server_key.clone(), ..world.settings.clone() };
        world.store.clone().close().await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let ticket = store.open_ticket(&Actor::Local, new_ticket("打印机坏了"), None).await.unwrap().unwrap();
        let number = ticket.number;
        for body in ["first\nline", "第二 \\ \" \u{1F600}"] {
            let article = NewArticle { visibility: Visibility::Internal, body: body.try_into().unwrap() };
            store.add_article(&Actor::Local, number, article, None).await.unwrap();
        }
        for (at, bytes) in [&b"hello"[..], &b"hello"[..], &b"\x00\xff"[..]].into_iter().enumerate() {
            let new = NewAttachment {
                name: Line::truncating(at.to_string()),
                media_type: "text/plain",
                visibility: Visibility::Internal,
                bytes: bytes::Bytes::from_static(bytes),
            };
            store.attach(&Actor::Local, number, new).await.unwrap();
        }
        store.add_user(&Actor::Local, &Line::truncating("ada"), Role::Admin).await.unwrap();
        let minted = store.mint_invite(&Actor::Local, number, None).await.unwrap();
        let device = belay_protocol::DeviceKey([1; 32]);
        let session = store.redeem_invite(&device, minted.code, None, None, None).await.unwrap().session;
        let contents = NewContents { findings: vec![sessions::finding(Severity::Crit)], ok: 1, ..Default::default() };
        let report = bytes::Bytes::from_static(b"report");
        let sha256 = crate::secret::sha256(&report);
        store.file_report(session, [7; 16], report, sha256, contents).await.unwrap();
        // The database outlives the desk's own world.
        std::mem::forget(world);
        Self { store, data, ticket, recipient, folder }
    }

    async fn back_up(&self) -> (Vec<u8>, Manifest) {
        make(&self.store, &self.data, vec![self.recipient.clone()], &Actor::Local, Vec::new()).await.unwrap()
    }

    fn identities(&self) -> Identities {
        Identities::load(&self.folder.path().join("key")).unwrap()
    }

    fn place(&self, name: &str, database: Option<String>) -> Place {
        Place { data: DataDirectory::at(self.folder.path().join(name)), database, clock: self.store.clock().clone() }
    }

    async fn restore(&self, backup: Vec<u8>, place: &Place) -> Result<Restored, RestoreError> {
        restore(io::Cursor::new(backup), self.identities(), place).await
    }
}

async fn every_table_and_column_is_in_a_backup(world: World) {
    let db = &world.store.inner.writer;
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        }
        _ => {
            "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let mut there: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    // Made again: the index of words, the names of the steps, and SQLite's own counters.
    there.retain(|name| !["search_docs", "seaql_migrations.", "sqlite_"].iter().any(|start| name.starts_with(start)));
    there.sort();
    let tables = tables().into_iter();
    let mut saved: Vec<String> = tables
        .flat_map(|table| table.columns.into_iter().map(move |column| format!("{}.{}", table.name, column.name)))
        .collect();
    saved.sort();
    assert_eq!(saved, there);
}

async fn a_snapshot_does_not_see_what_is_written_after_it(world: World) {
    use futures_util::TryStreamExt as _;

    world.ticket().await;
    let snapshot = world.store.snapshot().await.unwrap();
    assert!(!snapshot.steps().await.unwrap().is_empty());
    world.ticket().await;
    let table = tables().into_iter().find(|table| table.name == "tickets").unwrap();
    let rows = snapshot.rows(&table, &table.columns).await.unwrap();
    assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

async fn a_desk_comes_back_row_by_row_and_goes_on(world: World) {
    let desk = Desk::open(world).await;
    let (backup, manifest) = desk.back_up().await;
    assert_eq!((manifest.tables["tickets"].rows, manifest.tables["attachments"].rows), (1, 3));
    let plain = b"first\\nline";
    assert!(!backup.windows(plain.len()).any(|window| window == plain));
    comes_back(&desk, backup.clone(), desk.place("to-sqlite", None)).await;
    if let Some(location) = postgres_database("a_desk_comes_back_row_by_row_and_goes_on").await {
        let DatabaseLocation::Postgres(url) = location else { panic!("{location:?}") };
        let place = desk.place("to-postgres", Some(url));
        comes_back(&desk, backup.clone(), place.clone()).await;
        // Somebody else's tables are not written over, and not by a second try either.
        let again = Place { data: DataDirectory::at(desk.folder.path().join("again")), ..place };
        let refused = desk.restore(backup.clone(), &again).await;
        assert!(matches!(refused, Err(RestoreError::DatabaseInUse)), "{refused:?}");
    }
    let refused = desk.restore(backup, &desk.place("to-sqlite", None)).await;
    assert!(matches!(refused, Err(RestoreError::DirectoryInUse(_))), "{refused:?}");
}

async fn comes_back(desk: &Desk, backup: Vec<u8>, place: Place) {
    let restored = desk.restore(backup, &place).await.unwrap();
    assert_eq!((restored.desk.as_str(), restored.blobs, restored.rows["articles"]), ("Nordwind", 3, 2));
    assert_eq!(restored.organization, desk.data.organization().unwrap().to_string());
    let held = place.data.open(desk.store.clock().now()).unwrap();
    assert_eq!(held.identity.public_key(), desk.data.open_identity().public_key());
    let settings = StoreSettings {
        database: place.data.location(place.database.as_deref()),
        blobs: place.data.blobs(),
        key: held.server_key.clone(),
        clock: desk.store.clock().clone(),
    };
    let store = Store::open(settings).await.unwrap();
    let number = desk.ticket.number;
    assert_eq!(store.ticket(number).await.unwrap(), desk.store.ticket(number).await.unwrap());
    let articles = async |store: &Store| store.list_articles(number, ArticleId(0), 9).await.unwrap();
    assert_eq!(articles(&store).await, articles(&desk.store).await);
    let (_, bytes) = store.attachment(AttachmentId(3)).await.unwrap().unwrap();
    assert_eq!(bytes.as_ref(), b"\x00\xff");
    let reports = store.list_reports(Some(number), None, 9).await.unwrap();
    assert_eq!(reports, desk.store.list_reports(Some(number), None, 9).await.unwrap());
    // The restore has left its line, and the chain goes on.
    assert_eq!(store.verify_audit().await.unwrap(), restored.audit_lines + 1);
    assert_eq!(store.search_tickets("打印机", None, 9).await.unwrap().len(), 1);
    let next = store.open_ticket(&Actor::Local, new_ticket("Next"), None).await.unwrap().unwrap();
    assert_ne!(next.number, number);
    store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Technician).await.unwrap();
    store.close().await.unwrap();
}

async fn a_file_that_was_lost_before_is_told_and_the_rest_is_saved(world: World) {
    let blobs = world.settings.blobs.clone();
    let desk = Desk::open(world).await;
    let lost: Vec<String> =
        [&b"\x00\xff"[..], b"report"].map(|bytes| data_encoding::HEXLOWER.encode(&crate::secret::sha256(bytes))).into();
    std::fs::remove_file(blobs.join(&lost[0][..2]).join(&lost[0])).unwrap();
    std::fs::write(blobs.join(&lost[1][..2]).join(&lost[1]), "changed").unwrap();
    let (backup, manifest) = desk.back_up().await;
    let mut told = manifest.damaged_blobs;
    told.sort();
    let mut expected: Vec<String> = lost.iter().map(|hex| format!("{}/{hex}", &hex[..2])).collect();
    expected.sort();
    assert_eq!(told, expected);
    let restored = desk.restore(backup, &desk.place("place", None)).await.unwrap();
    assert_eq!((restored.blobs, restored.damaged_blobs.len()), (1, 2));
}

async fn a_backup_that_cannot_be_written_says_so(world: World) {
    /// A disk with room for so many bytes.
    struct Full(usize);

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let desk = Desk::open(world).await;
    let whole = desk.back_up().await.0.len();
    for room in [1_000, whole / 2, whole - 1] {
        let made = make(&desk.store, &desk.data, vec![desk.recipient.clone()], &Actor::Local, Full(room)).await;
        match made {
            Err(crate::backup::BackupError::Sink(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
            other => panic!("{room} of {whole}: {:?}", other.map(|(_, manifest)| manifest)),
        }
    }
    let nothing = make(&desk.store, &desk.data, vec![desk.recipient.clone()], &Actor::Local, Full(0)).await;
    assert!(matches!(nothing, Err(crate::backup::BackupError::Sink(_))));
    // Each try is on the record, whatever became of it.
    let lines = desk.store.audit_lines_after(0, 1_000).await.unwrap();
    assert_eq!(lines.iter().filter(|line| line.contains("\"action\":\"desk.backup\"")).count(), 5);
}

/// Nothing that could be taken for a desk.
fn is_no_desk(place: &Place) -> bool {
    !place.data.is_initialized()
}

#[tokio::test]
async fn what_was_cut_changed_or_is_for_somebody_else_is_refused() {
    let desk = Desk::open(on_sqlite().await).await;
    let (backup, _) = desk.back_up().await;
    let mut tries = 0;
    let mut refused = async |bytes: Vec<u8>| {
        tries += 1;
        let place = desk.place(&format!("try-{tries}"), None);
        let error = desk.restore(bytes, &place).await.unwrap_err();
        assert!(is_no_desk(&place), "{error:?}");
        error
    };
    for cut in (0..40).map(|at| backup.len() * at / 40).chain([backup.len() - 1]) {
        let error = refused(backup[..cut].to_vec()).await;
        assert!(matches!(error, RestoreError::CutOff | RestoreError::NotABackup), "{cut}: {error:?}");
    }
    for at in (0..60).map(|at| backup.len() * at / 60).chain([backup.len() - 1]) {
        let mut changed = backup.clone();
        changed[at] ^= 0x20;
        let error = refused(changed).await;
        assert!(
            matches!(error, RestoreError::NotABackup | RestoreError::WrongKey | RestoreError::CutOff),
            "{at}: {error:?}"
        );
    }
    let mut longer = backup.clone();
    longer.push(0);
    assert!(matches!(refused(longer).await, RestoreError::NotABackup));
    assert!(matches!(refused(b"age-encryption.org/v1\n".repeat(9)).await, RestoreError::NotABackup));
    assert!(matches!(refused(vec![0; 100_000]).await, RestoreError::NotABackup));

    let (other, _) = new_identity(desk.store.clock().now());
    std::fs::write(desk.folder.path().join("other"), other.as_bytes()).unwrap();
    let other = Identities::load(&desk.folder.path().join("other")).unwrap();
    let refused = restore(io::Cursor::new(backup), other, &desk.place("other-place", None)).await;
    assert!(matches!(refused, Err(RestoreError::WrongKey)), "{refused:?}");
    std::fs::write(desk.folder.path().join("other"), "no key").unwrap();
    assert!(Identities::load(&desk.folder.path().join("other")).is_err());
    assert!(Identities::load(Path::new("/nowhere/key")).is_err());
}

/// Names and contents, as they stand in a backup.
type Entries = Vec<(String, Vec<u8>)>;

/// Who knows the recipient alone can write what only its holder opens: what is in there is not believed.
#[tokio::test]
async fn what_somebody_else_has_written_for_the_recipient_is_refused() {
    let desk = Desk::open(on_sqlite().await).await;
    let (backup, _) = desk.back_up().await;
    let entries = crate::backup::entries(&backup, &desk.identities());
    let mut tries = 0;
    let mut refused = async |change: &dyn Fn(&mut Entries), resealed: bool| {
        tries += 1;
        let mut entries = entries.clone();
        change(&mut entries);
        let forged = crate::backup::forge(&entries, &desk.recipient, resealed);
        let place = desk.place(&format!("try-{tries}"), None);
        let error = desk.restore(forged, &place).await.unwrap_err();
        assert!(is_no_desk(&place), "{error:?}");
        error
    };
    let at = |name: &str| entries.iter().position(|(known, _)| known.starts_with(name)).unwrap();
    for name in
        ["desk/evil", "desk/../../evil", "/evil", "blobs/aa/../../evil", "tables/evil/0", "tables/tickets/../x/y", "x"]
    {
        let error = refused(&|entries| entries.insert(1, (name.to_owned(), b"[]\n".to_vec())), true).await;
        assert!(matches!(error, RestoreError::NotABackup | RestoreError::File(_)), "{name}: {error:?}");
        assert!(!desk.folder.path().join("evil").exists());
    }
    let differs = |error: RestoreError| assert!(matches!(error, RestoreError::Differs(_)), "{error:?}");
    // Without a manifest that fits.
    differs(refused(&|entries| drop(entries.remove(at("tables/articles"))), false).await);
    differs(refused(&|entries| drop(entries.remove(at("desk/console.key"))), false).await);
    differs(refused(&|entries| entries.push(("tables/articles/000009.jsonl".to_owned(), Vec::new())), false).await);
    // With one, but the rows name a file that is not there, or one that is not what its name says.
    differs(refused(&|entries| drop(entries.remove(at("blobs/"))), true).await);
    differs(refused(&|entries| entries[at("blobs/")].1.push(0), true).await);
    // A line of the audit.
    let edited = refused(
        &|entries| {
            let text = String::from_utf8(entries[at("tables/audit_lines")].1.clone()).unwrap();
            entries[at("tables/audit_lines")].1 = text.replacen("ticket.open", "ticket.look", 1).into_bytes();
        },
        true,
    )
    .await;
    assert!(matches!(edited, RestoreError::Audit(_)), "{edited:?}");
    // Rows that do not fit their columns.
    for row in ["[1]\n", "[\"x\",1,1,1,1,1,1,1,1]\n", "{}\n", "[1,2\n", "\n"] {
        let error = refused(&|entries| entries[at("tables/articles")].1 = row.as_bytes().to_vec(), true).await;
        assert!(matches!(error, RestoreError::NotABackup), "{row}: {error:?}");
    }
    let head = |from: &'static str, to: &'static str| {
        move |entries: &mut Entries| {
            let text = String::from_utf8(entries[0].1.clone()).unwrap();
            assert!(text.contains(from), "{text}");
            entries[0].1 = text.replacen(from, to, 1).into_bytes();
        }
    };
    for (from, to) in [
        ("\"format\":1", "\"format\":2,\"other\":0"),
        ("m2026_06_accounts", "m2027_01_later"),
        ("\"scope\"", "\"later\""),
        ("\"tickets\":", "\"later\":"),
    ] {
        let error = refused(&head(from, to), true).await;
        assert!(matches!(error, RestoreError::Newer(_)), "{to}: {error:?}");
    }
}

#[tokio::test]
async fn a_backup_of_an_earlier_schema_is_brought_up_to_date() {
    let desk = Desk::open(on_sqlite().await).await;
    let (backup, _) = desk.back_up().await;
    let mut entries = crate::backup::entries(&backup, &desk.identities());
    let mut head: serde_json::Value = serde_json::from_slice(&entries[0].1).unwrap();
    // As it was before there were requests by strangers, what people at the desk make for themselves, and companies below
    // companies.
    let steps = head["steps"].as_array_mut().unwrap();
    steps.truncate(steps.iter().position(|step| step == "m2026_10_requests").unwrap());
    let gone = ["settings", "checklists", "checklist_items", "macros", "time_entries", "overviews", "products"];
    for table in gone {
        head["columns"].as_object_mut().unwrap().remove(table);
    }
    for (table, fewer) in [("tickets", 2), ("reports", 1), ("organizations", 1), ("contacts", 4)] {
        let columns = head["columns"][table].as_array_mut().unwrap();
        columns.truncate(columns.len() - fewer);
        for (_, content) in entries.iter_mut().filter(|(name, _)| name.starts_with(&format!("tables/{table}/"))) {
            let rows = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let rows = rows.map(|line| {
                let mut row: Vec<serde_json::Value> = serde_json::from_slice(line).unwrap();
                row.truncate(row.len() - fewer);
                serde_json::to_string(&row).unwrap() + "\n"
            });
            *content = rows.collect::<String>().into_bytes();
        }
    }
    entries[0].1 = serde_json::to_vec(&head).unwrap();
    entries.retain(|(name, _)| !gone.iter().any(|table| name.starts_with(&format!("tables/{table}/"))));
    let earlier = crate::backup::forge(&entries, &desk.recipient, true);
    comes_back(&desk, earlier, desk.place("place", None)).await;
}
