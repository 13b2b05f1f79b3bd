//! Authenticator apps and recovery codes.

use super::accounts::{PASSWORD, sign_in, user, visitor};
use super::*;
use crate::secret::Token;
use crate::totp::Seed;

conformance! {
    with_an_app_the_password_alone_signs_nobody_in
    a_used_step_and_every_step_before_it_are_refused
    one_code_sent_twice_at_once_signs_in_once
    a_challenge_is_for_one_answer_one_place_and_five_minutes
    a_recovery_code_works_once_and_new_ones_replace_the_old
    wrong_codes_lock_the_codes_and_leave_the_password_its_own_count
    another_password_ends_a_half_finished_sign_in
    a_fresh_proof_with_an_app_is_a_code
    a_reset_link_does_not_go_around_the_app
    the_seed_is_sealed_and_bound_to_its_user
    an_app_is_set_up_once_and_can_be_taken_away
}

/// A user with a password and an authenticator app, which is what knows the seed.
async fn ada(world: &World) -> (Token, SignedIn, Seed, Vec<String>) {
    let link = user(world, "ada").await;
    let (token, signed_in) = world.store.set_up(&link.token, PASSWORD, &visitor("a")).await.unwrap();
    let (seed, codes) = enrol(world, signed_in.user.id).await;
    (token, signed_in, seed, codes)
}

async fn enrol(world: &World, of: UserId) -> (Seed, Vec<String>) {
    let enrolment = world.store.begin_totp(of, "Nordwind").await.unwrap();
    let seed = Seed::kept(data_encoding::BASE32_NOPAD.decode(enrolment.secret.as_bytes()).unwrap());
    assert!(matches!(world.store.confirm_totp(of, "000000").await, Err(FactorError::WrongCode)));
    let codes = world.store.confirm_totp(of, &seed.code(world.clock.now())).await.unwrap();
    world.clock.advance(STEP);
    (seed, codes)
}

const STEP: Duration = Duration::from_secs(30);

async fn challenge(world: &World, source: &str) -> String {
    match sign_in(world, "ada", PASSWORD, source).await {
        Err(SignInError::SecondFactor { challenge }) => challenge,
        other => panic!("{other:?}"),
    }
}

async fn answer(world: &World, challenge: &str, code: &str, source: &str) -> Result<Token, SignInError> {
    world.store.answer_second_factor(challenge, code, &visitor(source)).await.map(|(token, _)| token)
}

async fn with_an_app_the_password_alone_signs_nobody_in(world: World) {
    let (_, signed_in, seed, _) = ada(&world).await;
    let challenge = challenge(&world, "a").await;
    assert!(matches!(answer(&world, &challenge, "000000", "a").await, Err(SignInError::WrongCode)));
    let token = answer(&world, &challenge, &seed.code(world.clock.now()), "a").await.unwrap();
    assert!(world.store.is_signed_in(&token).await.unwrap());
    let factors = world.store.factors(signed_in.user.id).await.unwrap();
    assert_eq!(factors, Factors { password: true, totp: true, recovery_codes: 10, passkeys: 0 });
    assert!(matches!(sign_in(&world, "ada", "wrong", "a").await, Err(SignInError::Wrong)));
}

async fn a_used_step_and_every_step_before_it_are_refused(world: World) {
    let (_, _, seed, _) = ada(&world).await;
    let (used, before) = (seed.code(world.clock.now().plus(STEP)), seed.code(world.clock.now()));
    answer(&world, &challenge(&world, "a").await, &used, "a").await.unwrap();
    for code in [used, before] {
        let refused = answer(&world, &challenge(&world, "a").await, &code, "a").await;
        assert!(matches!(refused, Err(SignInError::WrongCode)), "{refused:?}");
    }
    world.clock.advance(2 * STEP);
    assert!(answer(&world, &challenge(&world, "a").await, &seed.code(world.clock.now()), "a").await.is_ok());
}

async fn one_code_sent_twice_at_once_signs_in_once(world: World) {
    let (_, _, seed, _) = ada(&world).await;
    let code = seed.code(world.clock.now());
    let (first, second) = (challenge(&world, "a").await, challenge(&world, "a").await);
    let (first, second) = tokio::join!(answer(&world, &first, &code, "a"), answer(&world, &second, &code, "a"));
    assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1);
}

async fn a_challenge_is_for_one_answer_one_place_and_five_minutes(world: World) {
    let (_, _, seed, codes) = ada(&world).await;
    let is_refused = async |challenge: &str, code: &str, source: &str| {
        matches!(answer(&world, challenge, code, source).await, Err(SignInError::ChallengeNotValid))
    };
    let first = challenge(&world, "a").await;
    let mut forged = first.clone().into_bytes();
    forged[40] ^= 1;
    assert!(is_refused(&String::from_utf8(forged).unwrap(), &codes[0], "a").await);
    assert!(is_refused("", &codes[0], "a").await);
    assert!(is_refused(&first, &codes[0], "b").await);
    answer(&world, &first, &seed.code(world.clock.now()), "a").await.unwrap();
    // Used up, though this code was never used.
    assert!(is_refused(&first, &codes[0], "a").await);
    let late = challenge(&world, "a").await;
    world.clock.advance(Duration::from_secs(5 * 60));
    assert!(is_refused(&late, &codes[0], "a").await);
}

async fn a_recovery_code_works_once_and_new_ones_replace_the_old(world: World) {
    let (_, signed_in, _, codes) = ada(&world).await;
    assert_eq!(codes.len(), 10);
    let typed = codes[0].to_uppercase().replace('-', " ");
    answer(&world, &challenge(&world, "a").await, &typed, "a").await.unwrap();
    let again = answer(&world, &challenge(&world, "a").await, &codes[0], "a").await;
    assert!(matches!(again, Err(SignInError::WrongCode)));
    assert_eq!(world.store.factors(signed_in.user.id).await.unwrap().recovery_codes, 9);
    let new = world.store.renew_recovery_codes(signed_in.user.id).await.unwrap();
    let old = answer(&world, &challenge(&world, "a").await, &codes[1], "a").await;
    assert!(matches!(old, Err(SignInError::WrongCode)));
    assert!(answer(&world, &challenge(&world, "a").await, &new[1], "a").await.is_ok());
    let stored = format!("{:?}", world.store.audit_lines_after(0, 1_000).await.unwrap());
    assert!(codes.iter().chain(&new).all(|code| !stored.contains(code.as_str())));
}

async fn wrong_codes_lock_the_codes_and_leave_the_password_its_own_count(mut world: World) {
    let (_, signed_in, seed, _) = ada(&world).await;
    let mut wrong = 0;
    while wrong < 10 {
        // A right password each time does not forgive the wrong codes.
        let given = challenge(&world, "a").await;
        match answer(&world, &given, "000000", "a").await {
            Err(SignInError::WrongCode) => wrong += 1,
            Err(SignInError::SlowDown { retry_after }) => world.clock.advance(retry_after),
            other => panic!("{other:?}"),
        }
    }
    world.restart().await;
    let good = seed.code(world.clock.now());
    let locked = answer(&world, &challenge(&world, "a").await, &good, "a").await;
    assert!(matches!(locked, Err(SignInError::CodesLocked { .. })), "{locked:?}");
    world.store.unlock(&Actor::Local, signed_in.user.id, &Line::truncating("it was her")).await.unwrap();
    assert!(answer(&world, &challenge(&world, "a").await, &good, "a").await.is_ok());
}

async fn another_password_ends_a_half_finished_sign_in(world: World) {
    let (_, signed_in, seed, _) = ada(&world).await;
    let half = challenge(&world, "a").await;
    world.store.change_password(&signed_in, PASSWORD, "staple battery horse", &visitor("a")).await.unwrap();
    let refused = answer(&world, &half, &seed.code(world.clock.now()), "a").await;
    assert!(matches!(refused, Err(SignInError::ChallengeNotValid)));
}

async fn a_fresh_proof_with_an_app_is_a_code(world: World) {
    let (_, signed_in, seed, codes) = ada(&world).await;
    let step_up = async |proof: Proof<'_>| world.store.step_up(&signed_in, proof, &visitor("a")).await;
    assert!(matches!(step_up(Proof::Password(PASSWORD)).await, Err(SignInError::CodeAsked)));
    assert!(matches!(step_up(Proof::Code("000000")).await, Err(SignInError::WrongCode)));
    let code = seed.code(world.clock.now());
    step_up(Proof::Code(&code)).await.unwrap();
    assert!(matches!(step_up(Proof::Code(&code)).await, Err(SignInError::WrongCode)));
    step_up(Proof::Code(&codes[0])).await.unwrap();
}

async fn a_reset_link_does_not_go_around_the_app(world: World) {
    let (_, signed_in, seed, _) = ada(&world).await;
    let link = world.store.mint_reset(&Actor::Local, signed_in.user.id).await.unwrap();
    let asked = world.store.set_up(&link.token, "staple battery horse", &visitor("a")).await;
    let Err(AccountError::SecondFactor { challenge }) = asked else { panic!("{asked:?}") };
    assert!(answer(&world, &challenge, &seed.code(world.clock.now()), "a").await.is_ok());
    // Whoever has lost the app as well has it taken off.
    world.store.reset_factors(&Actor::Local, signed_in.user.id, &Line::truncating("lost")).await.unwrap();
    assert!(sign_in(&world, "ada", "staple battery horse", "a").await.is_ok());
}

async fn the_seed_is_sealed_and_bound_to_its_user(world: World) {
    let (_, signed_in, _, _) = ada(&world).await;
    let eva = user(&world, "eva").await.user.id;
    // Somebody with the database gives another user the seed whose app they have.
    world.tamper(&format!("UPDATE totp_seeds SET user_id = {eva} WHERE user_id = {}", signed_in.user.id)).await;
    let link = world.store.mint_reset(&Actor::Local, eva).await.unwrap();
    let asked = world.store.set_up(&link.token, PASSWORD, &visitor("a")).await;
    let Err(AccountError::SecondFactor { challenge }) = asked else { panic!("{asked:?}") };
    let refused = answer(&world, &challenge, "000000", "a").await;
    assert!(matches!(refused, Err(SignInError::Store(StoreError::Unreadable(_)))), "{refused:?}");
}

async fn an_app_is_set_up_once_and_can_be_taken_away(world: World) {
    let (_, signed_in, seed, _) = ada(&world).await;
    let of = signed_in.user.id;
    assert!(matches!(world.store.begin_totp(of, "Nordwind").await, Err(FactorError::Exists)));
    let again = world.store.confirm_totp(of, &seed.code(world.clock.now())).await;
    assert!(matches!(again, Err(FactorError::Exists)));
    world.store.remove_totp(of).await.unwrap();
    assert!(matches!(world.store.remove_totp(of).await, Err(FactorError::Missing)));
    assert!(matches!(world.store.renew_recovery_codes(of).await, Err(FactorError::Missing)));
    assert_eq!(world.store.factors(of).await.unwrap().recovery_codes, 0);
    assert!(sign_in(&world, "ada", PASSWORD, "a").await.is_ok());
    // Begun and not confirmed, it counts for nothing.
    world.store.begin_totp(of, "Nordwind").await.unwrap();
    assert!(sign_in(&world, "ada", PASSWORD, "a").await.is_ok());
}
