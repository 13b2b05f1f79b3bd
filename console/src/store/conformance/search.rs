//! Finding tickets by words.

use super::*;

conformance! {
    every_text_of_a_ticket_finds_it
    what_was_changed_is_found_by_its_new_words_alone
    results_page_newest_first
    tickets_of_an_older_console_are_found_after_a_restart
    what_a_query_holds_is_never_obeyed
}

async fn found(world: &World, query: &str) -> Vec<TicketNumber> {
    let tickets = world.store.search_tickets(query, None, 50).await.unwrap();
    tickets.into_iter().map(|ticket| ticket.number).collect()
}

async fn every_text_of_a_ticket_finds_it(world: World) {
    let about = About { product: Some(Line::truncating("收银机")), ..About::default() };
    let new = NewTicket { about, ..new_ticket("No paper in Müller's printer") };
    let ticket = world.store.open_ticket(&Actor::Local, new, None).await.unwrap().unwrap();
    let article =
        NewArticle { visibility: Visibility::Internal, body: "客户说打印机没有纸".try_into().unwrap() };
    world.store.add_article(&Actor::Local, ticket.number, article, None).await.unwrap();
    let tags = TicketChange { tags: Some(vec![Line::truncating("toner")]), ..Default::default() };
    world.change(ticket.number, tags).await.unwrap();
    world.change(ticket.number, resolved()).await.unwrap();
    for query in
        ["paper", "muller print", "nordwind", "Ada", "收银", "打印", "没有纸", "toner", "logrotate", "this morning"]
    {
        assert_eq!(found(&world, query).await, [ticket.number], "{query}");
    }
    assert_eq!(found(&world, &ticket.number.to_string()).await, [ticket.number]);
    for query in ["aper", "邮件", "paper elsewhere", "", " !"] {
        assert_eq!(found(&world, query).await, [], "{query}");
    }
}

async fn what_was_changed_is_found_by_its_new_words_alone(world: World) {
    let number = world.ticket().await.number;
    let title = TicketChange { title: Some(Line::truncating("Monitor flickers")), ..Default::default() };
    world.change(number, title).await.unwrap();
    assert_eq!(found(&world, "flickers").await, [number]);
    assert_eq!(found(&world, "disk").await, []);
    let article = NewArticle { visibility: Visibility::Public, body: "zebra".try_into().unwrap() };
    world.store.add_article(&Actor::Local, number, article, None).await.unwrap();
    let target = world.ticket().await.number;
    world.store.merge_ticket(&Actor::Local, number, target).await.unwrap();
    assert_eq!(found(&world, "zebra").await, [target], "what was said has moved");
}

async fn results_page_newest_first(world: World) {
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.insert(0, world.ticket().await.number);
    }
    let first = world.store.search_tickets("disk", None, 2).await.unwrap();
    let rest = world.store.search_tickets("disk", Some(first[1].number), 2).await.unwrap();
    let paged: Vec<_> = first.into_iter().chain(rest).map(|ticket| ticket.number).collect();
    assert_eq!(paged, numbers);
}

async fn tickets_of_an_older_console_are_found_after_a_restart(mut world: World) {
    let number = world.ticket().await.number;
    world.tamper("DELETE FROM search_docs").await;
    assert_eq!(found(&world, "disk").await, []);
    world.restart().await;
    assert_eq!(found(&world, "disk").await, [number]);
}

async fn what_a_query_holds_is_never_obeyed(world: World) {
    world.ticket().await;
    for query in ["disk' | 'x", "\"disk\" OR x", "disk:*", "disk & !full", "NOT disk", "words:disk", "*", "' OR 1=1 --"]
    {
        assert!(world.store.search_tickets(query, None, 9).await.is_ok(), "{query}");
    }
    assert_eq!(found(&world, "disk OR zebra").await, [], "every word counts as a word");
}
