//! Passkeys, by an authenticator made of software.

use serde_json::Value;

use super::accounts::{PASSWORD, lock, sign_in, user, visitor};
use super::*;
use crate::passkey::RelyingParty;
use crate::passkey::soft::SoftPasskey;

conformance! {
    a_passkey_signs_in_also_while_the_password_is_locked
    beside_a_passkey_the_password_alone_opens_nothing
    a_registration_is_for_its_user_and_for_once
    a_copied_passkey_is_refused
    what_another_site_another_key_or_no_person_has_signed_is_refused
    an_assertion_works_once
    a_removed_passkey_signs_nobody_in
    a_passkey_proves_its_own_user_alone
    refused_passkeys_slow_the_place_they_come_from
}

const ORIGIN: &str = "https://help.example.com";

fn party() -> RelyingParty {
    RelyingParty::at(ORIGIN, "Nordwind").unwrap()
}

async fn ada(world: &World) -> SignedIn {
    let link = user(world, "ada").await;
    world.store.set_up(&link.token, PASSWORD, &visitor("a")).await.unwrap().1
}

async fn add(world: &World, of: UserId) -> (SoftPasskey, PasskeyView) {
    let mut passkey = SoftPasskey::new(ORIGIN);
    let added = register(world, of, &mut passkey).await;
    (passkey, added)
}

async fn register(world: &World, of: UserId, passkey: &mut SoftPasskey) -> PasskeyView {
    let begun = world.store.begin_passkey(&party(), of).await.unwrap();
    let made = serde_json::from_value(passkey.register(&begun.options)).unwrap();
    world.store.add_passkey(&party(), of, &Line::truncating("Phone"), &begun.challenge, &made).await.unwrap()
}

async fn by_passkey(world: &World, passkey: &mut SoftPasskey) -> Result<SignedIn, SignInError> {
    let begun = world.store.begin_passkey_sign_in(&party()).unwrap();
    let answer = passkey.sign(&begun.options);
    present(world, &begun.challenge, answer).await
}

async fn present(world: &World, challenge: &str, answer: Value) -> Result<SignedIn, SignInError> {
    let answer = serde_json::from_value(answer).unwrap();
    let done = world.store.sign_in_by_passkey(&party(), challenge, &answer, &visitor("a")).await;
    done.map(|(_, signed_in)| signed_in)
}

async fn a_passkey_signs_in_also_while_the_password_is_locked(world: World) {
    let ada = ada(&world).await;
    let (mut passkey, added) = add(&world, ada.user.id).await;
    lock(&world, "ada", "b").await;
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "b").await, Err(SignInError::Locked { .. })));
    assert_eq!(by_passkey(&world, &mut passkey).await.unwrap().user.name, "ada");
    let listed = world.store.list_passkeys(ada.user.id).await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].name.as_str()), (1, added.id, "Phone"));
    assert_eq!(listed[0].last_used_at_ms, Some(world.clock.now()));
}

async fn beside_a_passkey_the_password_alone_opens_nothing(world: World) {
    let ada = ada(&world).await;
    let (mut passkey, added) = add(&world, ada.user.id).await;
    let alone = sign_in(&world, "ada", PASSWORD, "b").await;
    assert!(matches!(alone, Err(SignInError::PasskeyAsked)), "{alone:?}");
    let wrong = sign_in(&world, "ada", "not the password", "b").await;
    assert!(matches!(wrong, Err(SignInError::Wrong)), "{wrong:?}");
    let proof = Proof::Password(PASSWORD);
    let proved = world.store.step_up(&ada, proof, &visitor("b")).await;
    assert!(matches!(proved, Err(SignInError::PasskeyAsked)), "{proved:?}");
    // A link that sets another password does not take the passkey's place either.
    let link = world.store.mint_reset(&Actor::System, ada.user.id).await.unwrap();
    let set = world.store.set_up(&link.token, "another long password", &visitor("b")).await;
    assert!(matches!(set, Err(AccountError::PasskeyAsked)), "{set:?}");
    assert!(by_passkey(&world, &mut passkey).await.is_ok());
    world.store.remove_passkey(ada.user.id, added.id).await.unwrap();
    assert!(sign_in(&world, "ada", "another long password", "b").await.is_ok());
}

async fn a_registration_is_for_its_user_and_for_once(world: World) {
    let ada = ada(&world).await.user.id;
    let eva = user(&world, "eva").await.user.id;
    let mut passkey = SoftPasskey::new(ORIGIN);
    let begun = world.store.begin_passkey(&party(), ada).await.unwrap();
    let made = serde_json::from_value(passkey.register(&begun.options)).unwrap();
    let name = Line::truncating("Phone");
    let add = async |of: UserId| world.store.add_passkey(&party(), of, &name, &begun.challenge, &made).await;
    assert!(matches!(add(eva).await, Err(PasskeyError::Refused)));
    add(ada).await.unwrap();
    assert!(matches!(add(ada).await, Err(PasskeyError::Refused)));
    // The same key again, by a new challenge.
    let begun = world.store.begin_passkey(&party(), eva).await.unwrap();
    let made = serde_json::from_value(passkey.register(&begun.options)).unwrap();
    let known = world.store.add_passkey(&party(), eva, &name, &begun.challenge, &made).await;
    assert!(matches!(known, Err(PasskeyError::Known)), "{known:?}");
}

async fn a_copied_passkey_is_refused(world: World) {
    let ada = ada(&world).await;
    let (mut passkey, _) = add(&world, ada.user.id).await;
    passkey.counter = 9;
    by_passkey(&world, &mut passkey).await.unwrap();
    // The copy knows nothing of the uses since.
    passkey.counter = 9;
    let refused = by_passkey(&world, &mut passkey).await;
    assert!(matches!(refused, Err(SignInError::ClonedPasskey)), "{refused:?}");
    let lines = world.store.audit_lines_after(0, 1_000).await.unwrap();
    assert!(lines.last().unwrap().contains("\"possibly_cloned\":true"), "{:?}", lines.last());
}

async fn what_another_site_another_key_or_no_person_has_signed_is_refused(world: World) {
    let ada = ada(&world).await;
    let (mut passkey, _) = add(&world, ada.user.id).await;
    let is_refused =
        async |passkey: &mut SoftPasskey| matches!(by_passkey(&world, passkey).await, Err(SignInError::UnknownPasskey));
    passkey.origin = "https://help.example.com.evil.example".into();
    assert!(is_refused(&mut passkey).await);
    passkey.origin = ORIGIN.into();
    passkey.verifies_its_user = false;
    assert!(is_refused(&mut passkey).await);
    passkey.verifies_its_user = true;
    let mut stranger = SoftPasskey::new(ORIGIN);
    stranger.register(&world.store.begin_passkey(&party(), ada.user.id).await.unwrap().options);
    assert!(is_refused(&mut stranger).await);
    let begun = world.store.begin_passkey_sign_in(&party()).unwrap();
    let mut answer = passkey.sign(&begun.options);
    answer["response"]["signature"] = stranger.sign(&begun.options)["response"]["signature"].clone();
    assert!(matches!(present(&world, &begun.challenge, answer).await, Err(SignInError::UnknownPasskey)));
    assert!(by_passkey(&world, &mut passkey).await.is_ok());
}

async fn an_assertion_works_once(world: World) {
    let ada = ada(&world).await;
    // Without a counter, as synchronised passkeys are: then only the challenge tells.
    let mut passkey = SoftPasskey { counter: 0, ..SoftPasskey::new(ORIGIN) };
    register(&world, ada.user.id, &mut passkey).await;
    let begun = world.store.begin_passkey_sign_in(&party()).unwrap();
    let answer = passkey.sign(&begun.options);
    present(&world, &begun.challenge, answer.clone()).await.unwrap();
    let again = present(&world, &begun.challenge, answer).await;
    assert!(matches!(again, Err(SignInError::ChallengeNotValid)), "{again:?}");
    let late = world.store.begin_passkey_sign_in(&party()).unwrap();
    let answer = passkey.sign(&late.options);
    world.clock.advance(Duration::from_secs(5 * 60));
    assert!(matches!(present(&world, &late.challenge, answer).await, Err(SignInError::ChallengeNotValid)));
}

async fn a_removed_passkey_signs_nobody_in(world: World) {
    let ada = ada(&world).await;
    let eva = user(&world, "eva").await.user.id;
    let (mut passkey, added) = add(&world, ada.user.id).await;
    assert!(matches!(world.store.remove_passkey(eva, added.id).await, Err(PasskeyError::Missing)));
    assert!(by_passkey(&world, &mut passkey).await.is_ok());
    world.store.remove_passkey(ada.user.id, added.id).await.unwrap();
    assert!(matches!(by_passkey(&world, &mut passkey).await, Err(SignInError::UnknownPasskey)));
}

async fn a_passkey_proves_its_own_user_alone(world: World) {
    let ada = ada(&world).await;
    let eva = user(&world, "eva").await.user.id;
    let (mut own, _) = add(&world, ada.user.id).await;
    let (mut other, _) = add(&world, eva).await;
    let step_up = async |passkey: &mut SoftPasskey| {
        let begun = world.store.begin_passkey_sign_in(&party()).unwrap();
        let answer = serde_json::from_value(passkey.sign(&begun.options)).unwrap();
        world.store.step_up_by_passkey(&party(), &ada, &begun.challenge, &answer, &visitor("a")).await
    };
    assert!(matches!(step_up(&mut other).await, Err(SignInError::UnknownPasskey)));
    assert_eq!(step_up(&mut own).await.unwrap(), world.clock.now());
}

async fn refused_passkeys_slow_the_place_they_come_from(world: World) {
    let ada = ada(&world).await;
    let mut stranger = SoftPasskey::new(ORIGIN);
    stranger.register(&world.store.begin_passkey(&party(), ada.user.id).await.unwrap().options);
    for n in 0..30 {
        let refused = by_passkey(&world, &mut stranger).await;
        assert!(matches!(refused, Err(SignInError::UnknownPasskey)), "{n}: {refused:?}");
    }
    assert!(matches!(by_passkey(&world, &mut stranger).await, Err(SignInError::SlowDown { .. })));
}
