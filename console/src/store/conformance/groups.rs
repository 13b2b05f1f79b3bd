//! Groups and assignment.

use super::*;

conformance! {
    a_new_ticket_goes_to_the_least_loaded_who_is_present
    rules_send_tickets_to_their_group
    nobody_loses_a_ticket_without_a_reason
    a_group_has_a_name_of_its_own_and_members_who_work_on_tickets
    what_an_older_console_has_opened_belongs_to_the_first_group
}

fn line(text: &str) -> Line {
    Line::truncating(text)
}

async fn a_new_ticket_goes_to_the_least_loaded_who_is_present(world: World) {
    assert_eq!(world.ticket().await.owner, None, "nobody is there: the group holds it");
    world.store.add_user(&Actor::Local, &line("away"), Role::Technician).await.unwrap();
    world.present("ada").await;
    world.present("bo").await;
    let mut owners = Vec::new();
    for _ in 0..4 {
        owners.push(world.ticket().await.owner.unwrap());
    }
    owners.sort();
    assert_eq!(owners, ["ada", "ada", "bo", "bo"]);
    // What is finished weighs nothing.
    let of_ada = TicketFilter { owner: Some("ada".into()), ..Default::default() };
    for ticket in world.store.list_tickets(&of_ada, 9).await.unwrap() {
        world.change(ticket.number, closed(Closing::Spam)).await.unwrap();
    }
    assert_eq!(world.ticket().await.owner.as_deref(), Some("ada"));
    world.clock.advance(IDLE_LIFE);
    assert_eq!(world.ticket().await.owner, None, "who does not use the desk is not there");
}

async fn rules_send_tickets_to_their_group(world: World) {
    world.present("ada").await;
    world.present("bo").await;
    world.store.add_group(&Actor::Local, &line("Network"), &[line("bo")]).await.unwrap();
    let rule = |customer: Option<&str>, word: Option<&str>, group: &str| NewAssignmentRule {
        customer: customer.map(line),
        channel: None,
        word: word.map(line),
        group: line(group),
    };
    let rules = [rule(Some("Other"), None, "Support"), rule(None, Some("vpn"), "Network")];
    world.store.replace_assignment_rules(&Actor::Local, &rules).await.unwrap();
    let open =
        async |title: &str| world.store.open_ticket(&Actor::Local, new_ticket(title), None).await.unwrap().unwrap();
    for _ in 0..2 {
        let ticket = open("No VPN at home").await;
        assert_eq!((ticket.group.as_str(), ticket.owner.as_deref()), ("Network", Some("bo")));
    }
    assert_eq!(open("Printer").await.group, "Support");
    let refused = world.store.replace_assignment_rules(&Actor::Local, &[rule(None, None, "Nowhere")]).await;
    assert!(matches!(refused, Err(GroupError::NoGroup)), "{refused:?}");
    assert_eq!(world.store.list_assignment_rules().await.unwrap().len(), 2, "the old ones stand");
}

async fn nobody_loses_a_ticket_without_a_reason(world: World) {
    let number = world.ticket().await.number;
    world.present("ada").await;
    world.present("bo").await;
    let give = |owner: Option<&str>| TicketChange { owner: Some(owner.map(line)), ..Default::default() };
    let because = |change| TicketChange { reason: Some(line("holidays")), ..change };
    let taken = world.change(number, give(Some("ada"))).await.unwrap();
    assert_eq!(taken.owner.as_deref(), Some("ada"), "from nobody it is taken without a word");
    for to in [Some("bo"), None] {
        let refused = world.change(number, give(to)).await;
        assert!(matches!(refused, Err(ChangeError::NeedsReason)), "{refused:?}");
    }
    world.change(number, give(Some("ada"))).await.unwrap();
    assert_eq!(world.change(number, because(give(Some("bo")))).await.unwrap().owner.as_deref(), Some("bo"));
    world.store.add_group(&Actor::Local, &line("Network"), &[line("ada")]).await.unwrap();
    let elsewhere = TicketChange { group: Some(line("Network")), ..Default::default() };
    let refused = world.change(number, elsewhere.clone()).await;
    assert!(matches!(refused, Err(ChangeError::NeedsReason)), "{refused:?}");
    let moved = world.change(number, because(elsewhere)).await.unwrap();
    assert_eq!((moved.group.as_str(), moved.owner.as_deref()), ("Network", Some("ada")), "the other group's turn");
    let nowhere = because(TicketChange { group: Some(line("Nowhere")), ..Default::default() });
    assert!(matches!(world.change(number, nowhere).await, Err(ChangeError::NoSuchGroup)));
    let events = world.store.list_events(Some(number), EventId(0), 99).await.unwrap();
    assert!(events.iter().any(|event| event.payload["reason"] == "holidays"));
}

async fn a_group_has_a_name_of_its_own_and_members_who_work_on_tickets(world: World) {
    world.present("ada").await;
    world.store.add_user(&Actor::Local, &line("eye"), Role::Auditor).await.unwrap();
    let groups = world.store.list_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].members.as_slice()), (1, ["ada".to_owned()].as_slice()));
    let add = async |name: &str, member: &str| world.store.add_group(&Actor::Local, &line(name), &[line(member)]).await;
    assert!(matches!(add("Support", "ada").await, Err(GroupError::NameTaken)));
    assert!(matches!(add("Network", "eye").await, Err(GroupError::NoMember(_))));
    assert!(matches!(add("Network", "nobody").await, Err(GroupError::NoMember(_))));
    let group = add("Network", "ada").await.unwrap();
    let change = async |name: Option<&str>, members: Option<&[Line]>| {
        world.store.change_group(&Actor::Local, group.id, name.map(line).as_ref(), members).await
    };
    assert!(matches!(change(Some("Support"), None).await, Err(GroupError::NameTaken)));
    let changed = change(Some("Networks"), Some(&[])).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.members.len()), ("Networks", 0));
    let nowhere = world.store.change_group(&Actor::Local, GroupId(999), None, None).await;
    assert!(matches!(nowhere, Err(GroupError::NoGroup)), "{nowhere:?}");
}

async fn what_an_older_console_has_opened_belongs_to_the_first_group(world: World) {
    let number = world.ticket().await.number;
    world.tamper("UPDATE tickets SET group_id = NULL").await;
    assert_eq!(world.store.ticket(number).await.unwrap().unwrap().group, "Support");
    world.change(number, to(TicketState::Open)).await.unwrap();
}
