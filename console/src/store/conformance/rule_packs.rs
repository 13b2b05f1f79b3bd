use super::*;
use crate::rules::tests::{signer, version};
use belay_protocol::bounded::Name;
use belay_protocol::signed_pack::PackId;
use belay_relay::identity::Identity;

fn new(number: u32) -> NewPack {
    let text = version(number);
    let proof = signer(&Identity::generate().unwrap()).sign(&text);
    NewPack { pack: PackId { id: Name::truncating("base"), version: number }, text, proof }
}

async fn the_newest_pack_is_offered_and_no_version_is_published_twice(world: World) {
    let store = &world.store;
    assert_eq!(store.newest_pack("base").await.unwrap(), None);
    store.publish_pack(&Actor::Local, new(2)).await.unwrap();
    let three = store.publish_pack(&Actor::Local, new(10)).await.unwrap();
    for old in [2, 3, 10] {
        let refused = store.publish_pack(&Actor::Local, new(old)).await;
        assert!(matches!(refused, Err(PublishError::NotNewer { published: 10 })), "{refused:?}");
    }
    assert_eq!(store.newest_pack("base").await.unwrap(), Some(three));
    assert_eq!(store.newest_pack("other").await.unwrap(), None);
    let versions: Vec<_> = store.list_packs(9).await.unwrap().iter().map(|pack| pack.pack.version).collect();
    assert_eq!(versions, [10, 2]);
}

super::conformance! { the_newest_pack_is_offered_and_no_version_is_published_twice }
