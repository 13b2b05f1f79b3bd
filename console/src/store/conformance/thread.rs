//! What is said on a ticket, and links between tickets.

use super::*;

conformance! {
    what_is_said_comes_back_in_its_order
    a_public_answer_begins_the_work
    an_article_sent_twice_is_said_once
    links_are_read_from_both_ends_and_taken_away_from_both
    a_follow_up_is_linked_to_what_it_follows
}

fn article(visibility: Visibility, body: &str) -> NewArticle {
    NewArticle { visibility, body: body.try_into().unwrap() }
}

async fn what_is_said_comes_back_in_its_order(world: World) {
    let number = world.ticket().await.number;
    for body in ["first\nline", "第二", "third"] {
        world.store.add_article(&Actor::Local, number, article(Visibility::Internal, body), None).await.unwrap();
    }
    let page = world.store.list_articles(number, ArticleId(0), 2).await.unwrap();
    assert_eq!((page[0].body.as_str(), page[1].body.as_str()), ("first\nline", "第二"));
    assert_eq!((page[0].author.as_str(), page[0].visibility), ("local", Visibility::Internal));
    let rest = world.store.list_articles(number, page[1].id, 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    let nowhere = TicketNumber::from_serial(7);
    let refused = world.store.add_article(&Actor::Local, nowhere, article(Visibility::Public, "x"), None).await;
    assert!(matches!(refused, Err(ThreadError::NoTicket)), "{refused:?}");
    let versions = world.store.ticket(number).await.unwrap().unwrap().version;
    assert_eq!(versions, 4, "who has read the ticket before does not overwrite what was said since");
}

async fn a_public_answer_begins_the_work(world: World) {
    let number = world.ticket().await.number;
    let state = async || world.store.ticket(number).await.unwrap().unwrap().state;
    world.store.add_article(&Actor::Local, number, article(Visibility::Internal, "hm"), None).await.unwrap();
    assert_eq!(state().await, TicketState::New);
    world.store.add_article(&Actor::Local, number, article(Visibility::Public, "hello"), None).await.unwrap();
    assert_eq!(state().await, TicketState::Open);
}

async fn an_article_sent_twice_is_said_once(world: World) {
    let number = world.ticket().await.number;
    let once = Once::new(&Actor::Local, "key", b"body");
    let say = || world.store.add_article(&Actor::Local, number, article(Visibility::Public, "hello"), Some(&once));
    assert_eq!(say().await.unwrap(), say().await.unwrap());
    assert_eq!(world.store.list_articles(number, ArticleId(0), 9).await.unwrap().len(), 1);
}

async fn links_are_read_from_both_ends_and_taken_away_from_both(world: World) {
    let (a, b) = (world.ticket().await.number, world.ticket().await.number);
    let link = async |to| world.store.link_tickets(&Actor::Local, a, LinkKind::DuplicateOf, to).await;
    let first = link(b).await.unwrap();
    assert_eq!(link(b).await.unwrap().id, first.id, "said twice it is said once");
    assert!(matches!(link(a).await, Err(ThreadError::NoOther)));
    assert!(matches!(link(TicketNumber::from_serial(7)).await, Err(ThreadError::NoOther)));
    for number in [a, b] {
        let links = world.store.list_links(number).await.unwrap();
        assert_eq!((links.len(), links[0].from, links[0].to), (1, a, b));
    }
    let other = world.ticket().await.number;
    let refused = world.store.unlink_tickets(&Actor::Local, other, first.id).await;
    assert!(matches!(refused, Err(ThreadError::NoLink)), "{refused:?}");
    world.store.unlink_tickets(&Actor::Local, b, first.id).await.unwrap();
    assert!(world.store.list_links(a).await.unwrap().is_empty());
}

async fn a_follow_up_is_linked_to_what_it_follows(world: World) {
    let old = world.ticket().await.number;
    let once = Once::new(&Actor::Local, "key", b"body");
    let open = || world.store.open_follow_up(&Actor::Local, old, new_ticket("Again"), Some(&once));
    let opened = open().await.unwrap();
    assert_eq!(open().await.unwrap().number, opened.number);
    let links = world.store.list_links(old).await.unwrap();
    assert_eq!((links.len(), links[0].kind, links[0].from), (1, LinkKind::FollowUpOf, opened.number));
    assert_eq!(links[0].title, "Again", "the other one's title");
}
