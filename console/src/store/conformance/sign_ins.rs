//! Sign-ins as their users see them.

use super::accounts::{PASSWORD, sign_in, user, visitor};
use super::*;
use crate::secret::Token;

conformance! {
    ones_sign_ins_are_listed_and_only_their_user_sees_where_they_are_from
    a_sign_in_is_ended_by_its_user_and_all_of_them_by_an_admin
    a_changed_password_ends_the_other_sign_ins_alone
    a_wrong_old_password_changes_nothing_and_counts
    a_proof_is_fresh_for_ten_minutes
    the_last_admin_stays_admin
    the_first_admin_is_made_once
}

/// A user with a password, signed in from `a`.
async fn ada(world: &World) -> (Token, SignedIn) {
    let link = user(world, "ada").await;
    world.store.set_up(&link.token, PASSWORD, &visitor("a")).await.unwrap()
}

async fn ones_sign_ins_are_listed_and_only_their_user_sees_where_they_are_from(world: World) {
    let (_, signed_in) = ada(&world).await;
    let id = signed_in.user.id;
    sign_in(&world, "ada", PASSWORD, "b").await.unwrap();
    let own = world.store.list_sign_ins(id, &Actor::User(id)).await.unwrap();
    let from: Vec<_> = own.iter().map(|sign_in| (sign_in.source.as_deref(), sign_in.by)).collect();
    assert_eq!(from, [(Some("b"), Some(SignInBy::Password)), (Some("a"), Some(SignInBy::SetUp))]);
    assert_eq!(own[0].agent.as_deref(), Some("Mozilla/5.0"));
    let told = world.store.list_sign_ins(id, &Actor::User(UserId(99))).await.unwrap();
    assert!(told.len() == 2 && told.iter().all(|sign_in| sign_in.source.is_none()));
    world.clock.advance(IDLE_LIFE);
    assert_eq!(world.store.list_sign_ins(id, &Actor::User(id)).await.unwrap(), []);
}

async fn a_sign_in_is_ended_by_its_user_and_all_of_them_by_an_admin(world: World) {
    let (first, signed_in) = ada(&world).await;
    let (id, actor) = (signed_in.user.id, Actor::User(signed_in.user.id));
    let second = sign_in(&world, "ada", PASSWORD, "b").await.unwrap();
    let third = sign_in(&world, "ada", PASSWORD, "c").await.unwrap();
    // Somebody else's is not there.
    let foreign = world.store.end_sign_in(&actor, UserId(99), signed_in.id).await;
    assert!(matches!(foreign, Err(AccountError::NoSignIn)));
    world.store.end_sign_in(&actor, id, signed_in.id).await.unwrap();
    assert!(matches!(world.store.end_sign_in(&actor, id, signed_in.id).await, Err(AccountError::NoSignIn)));
    assert!(!world.store.is_signed_in(&first).await.unwrap() && world.store.is_signed_in(&second).await.unwrap());
    world.store.end_all_sign_ins(&Actor::Local, id).await.unwrap();
    for token in [&second, &third] {
        assert!(!world.store.is_signed_in(token).await.unwrap());
    }
    let missing = world.store.end_all_sign_ins(&Actor::Local, UserId(99)).await;
    assert!(matches!(missing, Err(AccountError::NoUser)));
}

async fn a_changed_password_ends_the_other_sign_ins_alone(world: World) {
    let (kept, signed_in) = ada(&world).await;
    let other = sign_in(&world, "ada", PASSWORD, "b").await.unwrap();
    world.store.change_password(&signed_in, PASSWORD, "staple battery horse", &visitor("a")).await.unwrap();
    assert!(world.store.is_signed_in(&kept).await.unwrap() && !world.store.is_signed_in(&other).await.unwrap());
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "b").await, Err(SignInError::Wrong)));
    assert!(sign_in(&world, "ada", "staple battery horse", "b").await.is_ok());
}

async fn a_wrong_old_password_changes_nothing_and_counts(world: World) {
    let (_, signed_in) = ada(&world).await;
    let change = async |old: &str, new: &str| world.store.change_password(&signed_in, old, new, &visitor("a")).await;
    let short = change(PASSWORD, "short").await;
    assert!(matches!(short, Err(ChangePasswordError::New(AccountError::BadPassword(_)))));
    for _ in 0..5 {
        let refused = change("wrong", "staple battery horse").await;
        assert!(matches!(refused, Err(ChangePasswordError::Old(SignInError::Wrong))));
    }
    let slowed = change(PASSWORD, "staple battery horse").await;
    assert!(matches!(slowed, Err(ChangePasswordError::Old(SignInError::SlowDown { .. }))));
    world.clock.advance(Duration::from_secs(15));
    assert!(sign_in(&world, "ada", PASSWORD, "b").await.is_ok());
}

async fn a_proof_is_fresh_for_ten_minutes(world: World) {
    let (token, signed_in) = ada(&world).await;
    assert_eq!(signed_in.stepped_up_until(), Some(world.clock.now().plus(STEP_UP_LIFE)));
    world.clock.advance(STEP_UP_LIFE);
    let wrong = world.store.step_up(&signed_in, Proof::Password("wrong"), &visitor("a")).await;
    assert!(matches!(wrong, Err(SignInError::Wrong)));
    let code = world.store.step_up(&signed_in, Proof::Code("123456"), &visitor("a")).await;
    assert!(matches!(code, Err(SignInError::WrongCode)));
    let stale = world.store.signed_in(&token).await.unwrap().unwrap();
    assert_eq!(stale.stepped_up_until(), Some(world.clock.now()));
    world.store.step_up(&signed_in, Proof::Password(PASSWORD), &visitor("a")).await.unwrap();
    let fresh = world.store.signed_in(&token).await.unwrap().unwrap();
    assert_eq!(fresh.stepped_up_until(), Some(world.clock.now().plus(STEP_UP_LIFE)));
}

async fn the_last_admin_stays_admin(world: World) {
    let role = async |id: UserId, role: Role| world.store.change_role(&Actor::Local, id, role).await;
    let first = world.store.add_user(&Actor::Local, &Line::truncating("ada"), Role::Admin).await.unwrap().user.id;
    let second = world.store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Technician).await.unwrap().user.id;
    assert!(matches!(role(first, Role::Auditor).await, Err(AccountError::LastAdmin)));
    assert_eq!(role(second, Role::Admin).await.unwrap().role, Role::Admin);
    assert_eq!(role(first, Role::Auditor).await.unwrap().role, Role::Auditor);
    assert!(matches!(role(second, Role::Auditor).await, Err(AccountError::LastAdmin)));
    assert!(matches!(role(UserId(99), Role::Auditor).await, Err(AccountError::NoUser)));
}

async fn the_first_admin_is_made_once(world: World) {
    let make = async |name: &str| world.store.add_first_admin(&Line::truncating(name), PASSWORD, &visitor("a")).await;
    assert!(matches!(make("a b").await, Err(AccountError::BadName)));
    let (token, made) = make("ada").await.unwrap();
    assert_eq!((made.user.role, world.store.is_signed_in(&token).await.unwrap()), (Role::Admin, true));
    assert!(make("eve").await.is_err());
    assert_eq!(world.store.count_users().await.unwrap(), 1);
}
