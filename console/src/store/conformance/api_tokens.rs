//! Tokens of programs.

use super::accounts::user;
use super::*;
use crate::policy::Action;
use crate::secret::Token;

conformance! {
    a_token_is_told_once_and_kept_as_a_hash
    a_token_ends_by_time_by_its_maker_and_with_its_maker
    a_token_is_given_no_more_than_its_maker_and_any_program_may_have
    a_token_has_an_end_within_a_year_and_there_are_not_many
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn mint(
    world: &World,
    maker: &User,
    actions: &[Action],
    life: Duration,
) -> Result<(Token, ApiTokenView), ApiTokenError> {
    world.store.mint_api_token(maker, &Line::truncating("Import"), actions.to_vec(), life).await
}

async fn a_token_is_told_once_and_kept_as_a_hash(world: World) {
    let ada = user(&world, "ada").await.user;
    let actions = [Action::WorkOnTickets, Action::ReadDesk, Action::ReadDesk];
    let (token, view) = mint(&world, &ada, &actions, DAY).await.unwrap();
    let used = world.store.use_api_token(&token).await.unwrap().unwrap();
    assert_eq!((used.id, used.user.id, used.actions.len()), (view.id, ada.id, 2));
    let listed = world.store.list_api_tokens(ada.id).await.unwrap();
    assert_eq!((listed[0].id, listed[0].last_used_at_ms), (view.id, Some(world.clock.now())));
    assert!(!format!("{listed:?}").contains(token.reveal()));
    let lines = world.store.audit_lines_after(0, 100).await.unwrap();
    assert!(lines.last().unwrap().contains("api_token.mint") && !lines.last().unwrap().contains(token.reveal()));
    assert_eq!(world.store.use_api_token(&Token::generate_for_program()).await.unwrap(), None);
    assert_eq!(world.store.use_api_token(&Token::generate()).await.unwrap(), None);
}

async fn a_token_ends_by_time_by_its_maker_and_with_its_maker(world: World) {
    let (ada, eva) = (user(&world, "ada").await.user, user(&world, "eva").await.user);
    let (expired, _) = mint(&world, &ada, &[Action::ReadDesk], DAY).await.unwrap();
    world.clock.advance(DAY);
    assert!(!world.store.is_api_token_live(&expired).await.unwrap());
    assert_eq!(world.store.list_api_tokens(ada.id).await.unwrap(), []);

    let (revoked, view) = mint(&world, &ada, &[Action::ReadDesk], DAY).await.unwrap();
    assert!(matches!(world.store.revoke_api_token(eva.id, view.id).await, Err(ApiTokenError::Missing)));
    assert!(world.store.is_api_token_live(&revoked).await.unwrap());
    world.store.revoke_api_token(ada.id, view.id).await.unwrap();
    assert!(!world.store.is_api_token_live(&revoked).await.unwrap());
    assert!(matches!(world.store.revoke_api_token(ada.id, view.id).await, Err(ApiTokenError::Missing)));

    // What the maker may do now is what counts.
    let (kept, _) = mint(&world, &ada, &[Action::WorkOnTickets], DAY).await.unwrap();
    world.store.change_role(&Actor::Local, ada.id, Role::Auditor).await.unwrap();
    assert_eq!(world.store.use_api_token(&kept).await.unwrap().unwrap().user.role, Role::Auditor);
}

async fn a_token_is_given_no_more_than_its_maker_and_any_program_may_have(world: World) {
    let technician = user(&world, "ada").await.user;
    let admin = world.store.add_user(&Actor::Local, &Line::truncating("eva"), Role::Admin).await.unwrap().user;
    for (maker, action) in [
        (&technician, Action::RevokeDevices),
        (&technician, Action::ReadAudit),
        (&admin, Action::ManageUsers),
        (&admin, Action::SecureOwnAccount),
        (&admin, Action::UseOwnSignIn),
        (&admin, Action::ExportAudit),
    ] {
        let refused = mint(&world, maker, &[Action::ReadDesk, action], DAY).await;
        assert!(matches!(refused, Err(ApiTokenError::NotAllowed(denied)) if denied == action), "{refused:?}");
    }
    assert!(matches!(mint(&world, &admin, &[], DAY).await, Err(ApiTokenError::NoAction)));
}

async fn a_token_has_an_end_within_a_year_and_there_are_not_many(world: World) {
    let ada = user(&world, "ada").await.user;
    for life in [Duration::ZERO, API_TOKEN_MAX_LIFE + Duration::from_millis(1)] {
        assert!(matches!(mint(&world, &ada, &[Action::ReadDesk], life).await, Err(ApiTokenError::BadLife)));
    }
    for _ in 0..50 {
        mint(&world, &ada, &[Action::ReadDesk], API_TOKEN_MAX_LIFE).await.unwrap();
    }
    let refused = mint(&world, &ada, &[Action::ReadDesk], DAY).await;
    assert!(matches!(refused, Err(ApiTokenError::TooMany)));
}
