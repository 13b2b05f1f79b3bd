//! Files on tickets.

use super::*;

conformance! {
    a_file_comes_back_as_it_was_and_is_kept_once
    a_ticket_has_no_end_of_files
    files_move_with_a_merged_ticket
    a_file_that_was_changed_on_the_disk_is_not_handed_out
}

fn file(name: &str, bytes: &'static [u8]) -> NewAttachment {
    NewAttachment {
        name: Line::truncating(name),
        media_type: "text/plain",
        visibility: Visibility::Internal,
        bytes: bytes::Bytes::from_static(bytes),
    }
}

async fn a_file_comes_back_as_it_was_and_is_kept_once(mut world: World) {
    let number = world.ticket().await.number;
    let attach = async |world: &World, new| world.store.attach(&Actor::Local, number, new).await.unwrap();
    let first = attach(&world, file("截图.txt", b"hello")).await;
    assert_eq!(attach(&world, file("截图.txt", b"hello")).await, first);
    assert_ne!(attach(&world, file("other.txt", b"hello")).await.id, first.id);
    world.restart().await;
    let (read, bytes) = world.store.attachment(first.id).await.unwrap().unwrap();
    assert_eq!((&read, bytes.as_ref()), (&first, b"hello".as_slice()));
    assert_eq!(world.store.list_attachments(number).await.unwrap().len(), 2);
    assert_eq!(world.store.attachment(AttachmentId(999)).await.unwrap(), None);
    let nowhere = world.store.attach(&Actor::Local, TicketNumber::from_serial(7), file("x", b"x")).await;
    assert!(matches!(nowhere, Err(AttachError::NoTicket)), "{nowhere:?}");
}

async fn a_ticket_has_no_end_of_files(world: World) {
    let number = world.ticket().await.number;
    for at in 0..50 {
        world.store.attach(&Actor::Local, number, file(&at.to_string(), b"x")).await.unwrap();
    }
    let more = world.store.attach(&Actor::Local, number, file("more", b"x")).await;
    assert!(matches!(more, Err(AttachError::TooMany)), "{more:?}");
    assert!(world.store.attach(&Actor::Local, number, file("7", b"x")).await.is_ok(), "one that is there is there");
}

async fn files_move_with_a_merged_ticket(world: World) {
    let (old, target) = (world.ticket().await.number, world.ticket().await.number);
    world.store.attach(&Actor::Local, old, file("log.txt", b"x")).await.unwrap();
    world.store.merge_ticket(&Actor::Local, old, target).await.unwrap();
    assert_eq!(world.store.list_attachments(target).await.unwrap()[0].name, "log.txt");
    let refused = world.store.attach(&Actor::Local, old, file("late", b"x")).await;
    assert!(matches!(refused, Err(AttachError::Merged)), "{refused:?}");
}

async fn a_file_that_was_changed_on_the_disk_is_not_handed_out(world: World) {
    let number = world.ticket().await.number;
    let added = world.store.attach(&Actor::Local, number, file("log.txt", b"true")).await.unwrap();
    let path = world.settings.blobs.join(&added.sha256[..2]).join(&added.sha256);
    fs_err::write(path, "false").unwrap();
    let changed = world.store.attachment(added.id).await;
    assert!(matches!(changed, Err(StoreError::Unreadable(_))), "{changed:?}");
}
