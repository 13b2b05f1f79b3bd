//! Users, links and sign-ins.

use super::*;
use crate::password::PasswordFault;
use crate::secret::Token;

conformance! {
    a_user_sets_a_password_once_and_signs_in
    a_sign_in_link_works_once_and_expires
    failures_slow_an_account_and_a_source_across_a_restart
    the_tenth_failure_locks_the_password_alone_and_there_are_ways_out
    one_address_with_wrong_passwords_keeps_nobody_else_out
    another_password_ends_what_the_old_one_began
    many_attempts_at_once_are_as_slow_as_one_by_one
    an_idle_or_old_sign_in_is_over
    signing_out_ends_the_sign_in
    names_and_passwords_have_their_limits
}

pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) async fn user(world: &World, name: &str) -> MintedLink {
    world.store.add_user(&Actor::Local, &Line::truncating(name), Role::Technician).await.unwrap()
}

pub(super) fn visitor(source: &str) -> Visitor {
    Visitor { source: source.to_owned(), agent: Line::truncating("Mozilla/5.0") }
}

pub(super) async fn sign_in(world: &World, name: &str, password: &str, source: &str) -> Result<Token, SignInError> {
    world.store.sign_in(SignIn { name, password, visitor: &visitor(source) }).await.map(|(token, _)| token)
}

async fn a_user_sets_a_password_once_and_signs_in(world: World) {
    let link = user(&world, "ada").await;
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "a").await, Err(SignInError::Wrong)));
    assert!(matches!(
        world.store.set_up(&link.token, "too short", &Visitor::default()).await,
        Err(AccountError::BadPassword(PasswordFault::Length))
    ));
    world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    assert!(matches!(
        world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await,
        Err(AccountError::LinkNotValid)
    ));
    let token = sign_in(&world, "ada", PASSWORD, "a").await.unwrap();
    assert_eq!(world.store.signed_in(&token).await.unwrap().unwrap().user.name, "ada");
    assert!(matches!(sign_in(&world, "ada", "correct horse batterx", "a").await, Err(SignInError::Wrong)));
    assert!(matches!(sign_in(&world, "eve", PASSWORD, "a").await, Err(SignInError::Wrong)));
    assert_eq!(world.store.signed_in(&Token::generate()).await.unwrap(), None);
}

async fn a_sign_in_link_works_once_and_expires(world: World) {
    user(&world, "ada").await;
    let link = world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
    // A link for one purpose is no link for another.
    assert!(matches!(
        world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await,
        Err(AccountError::LinkNotValid)
    ));
    world.store.sign_in_by_link(&link.token, &Visitor::default()).await.unwrap();
    assert!(matches!(
        world.store.sign_in_by_link(&link.token, &Visitor::default()).await,
        Err(AccountError::LinkNotValid)
    ));
    let late = world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
    world.clock.advance(Duration::from_secs(15 * 60));
    assert!(matches!(
        world.store.sign_in_by_link(&late.token, &Visitor::default()).await,
        Err(AccountError::LinkNotValid)
    ));
    assert!(matches!(world.store.mint_sign_in(&Actor::Local, "eve").await, Err(AccountError::NoUser)));
}

async fn failures_slow_an_account_and_a_source_across_a_restart(mut world: World) {
    let link = user(&world, "ada").await;
    world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    for n in 0..5 {
        assert!(matches!(sign_in(&world, "ada", "wrong", &format!("s{n}")).await, Err(SignInError::Wrong)));
    }
    world.restart().await;
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "s9").await, Err(SignInError::SlowDown { .. })));
    world.clock.advance(Duration::from_secs(15));
    assert!(sign_in(&world, "ada", PASSWORD, "s9").await.is_ok());
    for n in 0..30 {
        assert!(matches!(sign_in(&world, &format!("u{n}"), "wrong", "one").await, Err(SignInError::Wrong)));
    }
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "one").await, Err(SignInError::SlowDown { .. })));
    assert!(sign_in(&world, "ada", PASSWORD, "two").await.is_ok());
}

/// Fails for `name` from one address until its account is locked.
pub(super) async fn lock(world: &World, name: &str, source: &str) {
    for n in 0..10 {
        if let Err(SignInError::SlowDown { retry_after }) = sign_in(world, name, "wrong", source).await {
            world.clock.advance(retry_after);
            assert!(matches!(sign_in(world, name, "wrong", source).await, Err(SignInError::Wrong)), "{n}");
        }
    }
}

async fn the_tenth_failure_locks_the_password_alone_and_there_are_ways_out(mut world: World) {
    let ada = user(&world, "ada").await;
    world.store.set_up(&ada.token, PASSWORD, &Visitor::default()).await.unwrap();
    let is_locked = async |world: &World, name: &str| {
        matches!(sign_in(world, name, PASSWORD, "t").await, Err(SignInError::Locked { retry_after })
            if retry_after > Duration::from_secs(14 * 60) && retry_after <= Duration::from_secs(15 * 60))
    };
    // A name that nobody has is locked like any other, and says the same.
    for name in ["eve", "ada"] {
        lock(&world, name, name).await;
        assert!(is_locked(&world, name).await, "{name}");
    }
    world.restart().await;
    assert!(is_locked(&world, "ada").await);
    let locked = async |world: &World| world.store.list_users().await.unwrap()[0].locked_until_ms;
    assert!(locked(&world).await.is_some_and(|until| until > world.clock.now()));

    // A one-time link is no password.
    let link = world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap();
    world.store.sign_in_by_link(&link.token, &Visitor::default()).await.unwrap();
    assert!(is_locked(&world, "ada").await);

    // An admin, with a reason.
    let reason = Line::truncating("it was her");
    world.store.unlock(&Actor::Local, ada.user.id, &reason).await.unwrap();
    assert!(sign_in(&world, "ada", PASSWORD, "t").await.is_ok());
    assert_eq!(locked(&world).await, None);
    let audit = world.store.audit_lines_after(0, 1_000).await.unwrap();
    assert!(audit.iter().any(|line| line.contains("user.unlock") && line.contains("it was her")));
    assert!(matches!(world.store.unlock(&Actor::Local, UserId(999), &reason).await, Err(AccountError::NoUser)));

    // Another password.
    lock(&world, "ada", "u").await;
    let reset = world.store.mint_reset(&Actor::Local, ada.user.id).await.unwrap();
    world.store.set_up(&reset.token, "staple battery horse", &Visitor::default()).await.unwrap();
    assert!(sign_in(&world, "ada", "staple battery horse", "t").await.is_ok());

    // Time.
    lock(&world, "ada", "v").await;
    world.clock.advance(Duration::from_secs(15 * 60));
    assert!(sign_in(&world, "ada", "staple battery horse", "t").await.is_ok());
}

async fn one_address_with_wrong_passwords_keeps_nobody_else_out(world: World) {
    for name in ["eve", "ada"] {
        let link = user(&world, name).await;
        world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    }
    lock(&world, "ada", "s").await;
    // At the same address, and elsewhere.
    assert!(sign_in(&world, "eve", PASSWORD, "s").await.is_ok());
    assert!(sign_in(&world, "eve", PASSWORD, "t").await.is_ok());
}

async fn another_password_ends_what_the_old_one_began(world: World) {
    let ada = user(&world, "ada").await;
    let (old, _) = world.store.set_up(&ada.token, PASSWORD, &Visitor::default()).await.unwrap();
    let reset = world.store.mint_reset(&Actor::Local, ada.user.id).await.unwrap();
    assert!(world.store.is_signed_in(&old).await.unwrap(), "a link that nobody has used changes nothing");
    let (new, _) = world.store.set_up(&reset.token, "staple battery horse", &Visitor::default()).await.unwrap();
    assert!(!world.store.is_signed_in(&old).await.unwrap() && world.store.is_signed_in(&new).await.unwrap());
    assert!(matches!(sign_in(&world, "ada", PASSWORD, "a").await, Err(SignInError::Wrong)));
    assert!(matches!(world.store.mint_reset(&Actor::Local, UserId(999)).await, Err(AccountError::NoUser)));
}

async fn many_attempts_at_once_are_as_slow_as_one_by_one(world: World) {
    let link = user(&world, "ada").await;
    world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    let attempts = (0..12).map(|n| {
        let store = world.store.clone();
        let source = format!("s{n}");
        tokio::spawn(async move {
            store.sign_in(SignIn { name: "ada", password: "wrong", visitor: &visitor(&source) }).await.map(|_| ())
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut looked_at = 0;
    for attempt in attempts {
        looked_at += usize::from(matches!(attempt.await.unwrap(), Err(SignInError::Wrong)));
    }
    assert_eq!(looked_at, 5);
}

async fn an_idle_or_old_sign_in_is_over(world: World) {
    let link = user(&world, "ada").await;
    let (token, signed_in) = world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    while world.clock.now().plus(Duration::from_secs(14 * 60)) < signed_in.ends_at {
        world.clock.advance(Duration::from_secs(14 * 60));
        assert!(world.store.signed_in(&token).await.unwrap().is_some());
    }
    world.clock.advance(signed_in.ends_at.since(world.clock.now()));
    assert!(world.store.signed_in(&token).await.unwrap().is_none());

    let (idle, _) = world
        .store
        .sign_in_by_link(&world.store.mint_sign_in(&Actor::Local, "ada").await.unwrap().token, &Visitor::default())
        .await
        .unwrap();
    world.clock.advance(IDLE_LIFE - Duration::from_millis(1));
    assert!(world.store.is_signed_in(&idle).await.unwrap());
    world.clock.advance(Duration::from_millis(1));
    assert!(world.store.signed_in(&idle).await.unwrap().is_none());
}

async fn signing_out_ends_the_sign_in(world: World) {
    let link = user(&world, "ada").await;
    let (token, _) = world.store.set_up(&link.token, PASSWORD, &Visitor::default()).await.unwrap();
    world.store.sign_out(&token).await.unwrap();
    assert!(world.store.signed_in(&token).await.unwrap().is_none());
    world.store.sign_out(&token).await.unwrap();
}

async fn names_and_passwords_have_their_limits(world: World) {
    let add = async |name: &str| world.store.add_user(&Actor::Local, &Line::truncating(name), Role::Auditor).await;
    for name in ["", "a b", "a\n", &"x".repeat(65)] {
        assert!(matches!(add(name).await, Err(AccountError::BadName)), "{name:?}");
    }
    let link = add("王芳").await.unwrap();
    assert!(matches!(add("王芳").await, Err(AccountError::NameTaken)));
    assert!(world.store.set_up(&link.token, &"x".repeat(1025), &Visitor::default()).await.is_err());
    assert!(world.store.set_up(&link.token, "十二个字的密码需要这样长", &Visitor::default()).await.is_ok());
}
