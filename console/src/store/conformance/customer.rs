//! What a customer may do on a ticket's status page.

use super::*;
use crate::life::REOPEN_WINDOW;

conformance! {
    a_status_key_opens_one_ticket
    a_customer_reads_what_is_public_and_nothing_else
    a_customers_answer_wakes_what_waited_for_it
    a_customers_yes_verifies_and_closes
    a_customers_no_reopens_or_opens_a_follow_up
    one_resolution_is_scored_once
    a_flood_of_words_is_stopped
}

fn words(text: &str) -> Text<WORDS_MAX_BYTES> {
    text.try_into().unwrap()
}

async fn a_status_key_opens_one_ticket(mut world: World) {
    let (one, other) = (world.ticket().await.number, world.ticket().await.number);
    let key = world.store.status_key(one);
    world.restart().await;
    assert!(world.store.is_status_key(one, &key), "a link is good for ever");
    assert!(!world.store.is_status_key(other, &key));
    for wrong in ["", &key[1..], &key.to_uppercase()] {
        assert!(!world.store.is_status_key(one, wrong), "{wrong}");
    }
}

async fn a_customer_reads_what_is_public_and_nothing_else(world: World) {
    let number = world.ticket().await.number;
    for (visibility, body) in [(Visibility::Public, "hello"), (Visibility::Internal, "a difficult person")] {
        let new = NewArticle { visibility, body: body.try_into().unwrap() };
        world.store.add_article(&Actor::Local, number, new, None).await.unwrap();
    }
    let read = world.store.public_articles(number).await.unwrap();
    assert_eq!(read.iter().map(|article| article.body.as_str()).collect::<Vec<_>>(), ["hello"]);
}

async fn a_customers_answer_wakes_what_waited_for_it(world: World) {
    let number = world.ticket().await.number;
    let until = world.clock.now().plus(Duration::from_secs(60));
    let wait = TicketChange { pending_until: Some(until), ..to(TicketState::PendingCustomer) };
    world.change(number, wait).await.unwrap();
    world.store.customer_writes(number, words("it is the blue one")).await.unwrap();
    let ticket = world.store.ticket(number).await.unwrap().unwrap();
    assert_eq!((ticket.state, ticket.pending_until_ms), (TicketState::Open, None));
    let said = world.store.list_articles(number, ArticleId(0), 9).await.unwrap();
    assert_eq!((said[0].author.as_str(), said[0].visibility), ("customer", Visibility::Public));
    // What waits for a vendor goes on waiting.
    world.change(number, to(TicketState::PendingVendor)).await.unwrap();
    world.store.customer_writes(number, words("any news?")).await.unwrap();
    assert_eq!(world.store.ticket(number).await.unwrap().unwrap().state, TicketState::PendingVendor);
    let nowhere = world.store.customer_writes(TicketNumber::from_serial(7), words("x")).await;
    assert!(matches!(nowhere, Err(CustomerError::NoTicket)), "{nowhere:?}");
}

async fn a_customers_yes_verifies_and_closes(world: World) {
    let number = world.ticket().await.number;
    let early = world.store.customer_confirms(number).await;
    assert!(matches!(early, Err(CustomerError::NotResolved)), "{early:?}");
    world.change(number, resolved()).await.unwrap();
    world.store.customer_confirms(number).await.unwrap();
    let closed = world.store.ticket(number).await.unwrap().unwrap();
    assert_eq!((closed.state, closed.closed_as), (TicketState::Closed, Some(Closing::Verified)));
    assert_eq!(closed.resolution.unwrap().verified.unwrap().by, VerifiedBy::Customer);
    let again = world.store.customer_confirms(number).await;
    assert!(matches!(again, Err(CustomerError::NotResolved)), "{again:?}");
    world.store.verify_audit().await.unwrap();
}

async fn a_customers_no_reopens_or_opens_a_follow_up(world: World) {
    let number = world.ticket().await.number;
    let early = world.store.customer_objects(number, words("no")).await;
    assert!(matches!(early, Err(CustomerError::NotResolved)), "{early:?}");
    world.change(number, resolved()).await.unwrap();
    assert_eq!(world.store.customer_objects(number, words("still beeps")).await.unwrap(), GoesOn::Here);
    let reopened = world.store.ticket(number).await.unwrap().unwrap();
    assert_eq!((reopened.state, reopened.resolution), (TicketState::Open, None));
    assert_eq!(world.store.public_articles(number).await.unwrap()[0].body, "still beeps");

    world.change(number, resolved()).await.unwrap();
    world.store.customer_confirms(number).await.unwrap();
    world.clock.advance(REOPEN_WINDOW + Duration::from_millis(1));
    let goes_on = world.store.customer_objects(number, words("it is back")).await.unwrap();
    let GoesOn::In(follow_up) = goes_on else { panic!("{goes_on:?}") };
    let opened = world.store.ticket(follow_up).await.unwrap().unwrap();
    assert_eq!((opened.description.as_str(), opened.channel), ("it is back", Channel::Web));
    assert_eq!((opened.customer.as_str(), opened.contact.as_deref()), ("Nordwind Logistik", Some("Ada")));
    assert_eq!(world.store.list_links(number).await.unwrap()[0].from, follow_up);
    assert_eq!(world.store.ticket(number).await.unwrap().unwrap().state, TicketState::Closed);
}

async fn one_resolution_is_scored_once(world: World) {
    assert!(Score::new(0).is_none() && Score::new(6).is_none());
    let number = world.ticket().await.number;
    let score = async |score| world.store.customer_scores(number, Score::new(score).unwrap(), words(" ")).await;
    assert!(matches!(score(5).await, Err(CustomerError::NotResolved)));
    world.change(number, resolved()).await.unwrap();
    score(2).await.unwrap();
    assert!(matches!(score(5).await, Err(CustomerError::ScoredAlready)));
    let resolution = world.store.ticket(number).await.unwrap().unwrap().resolution.unwrap();
    assert_eq!((resolution.score, resolution.comment), (Some(2), None));
    // Another resolution is another matter.
    world.change(number, to(TicketState::Open)).await.unwrap();
    world.change(number, resolved()).await.unwrap();
    score(5).await.unwrap();
}

async fn a_flood_of_words_is_stopped(world: World) {
    let number = world.ticket().await.number;
    for _ in 0..30 {
        world.store.customer_writes(number, words("again")).await.unwrap();
    }
    let flood = world.store.customer_writes(number, words("again")).await;
    assert!(matches!(flood, Err(CustomerError::TooMany)), "{flood:?}");
    world.clock.advance(Duration::from_secs(60 * 60));
    world.store.customer_writes(number, words("later")).await.unwrap();
}
