//! Companies, their people and their products.

use super::*;

conformance! {
    companies_stand_below_each_other_and_never_in_a_circle
    callers_who_have_said_no_company_yet_are_none
    a_company_that_is_renamed_is_found_by_its_new_name
    two_people_who_are_one_share_their_tickets_until_the_merge_is_undone
    a_merge_touches_nothing_that_was_changed_since_when_it_is_undone
    what_cannot_be_merged_is_refused
    products_have_licences_that_end
}

fn line(text: &str) -> Line {
    Line::truncating(text)
}

async fn company(world: &World, name: &str, parent: Option<OrganizationId>) -> OrganizationId {
    world.store.add_organization(&Actor::Local, &line(name), parent).await.unwrap().id
}

async fn person(world: &World, company: OrganizationId, name: &str, reach: Option<&str>) -> Contact {
    let new = NewContact { name: line(name), reach: reach.map(line), language: None };
    world.store.add_contact(&Actor::Local, company, &new).await.unwrap()
}

async fn asked_by(world: &World, name: &str) -> Ticket {
    let new = NewTicket { contact: Some(line(name)), ..new_ticket("Slow") };
    world.store.open_ticket(&Actor::Local, new, None).await.unwrap().unwrap()
}

async fn companies_stand_below_each_other_and_never_in_a_circle(mut world: World) {
    let holding = company(&world, "Wind Holding", None).await;
    let north = company(&world, "北风", Some(holding)).await;
    let depot = company(&world, "北风 Depot 100%", Some(north)).await;
    world.restart().await;
    let store = &world.store;
    let whole = store.organization(north).await.unwrap().unwrap();
    let names = |list: &[Organization]| list.iter().map(|found| found.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&whole.above), names(&whole.below)),
        (vec!["Wind Holding".into()], vec!["北风 Depot 100%".into()])
    );
    let uppermost = store.organization(depot).await.unwrap().unwrap();
    assert_eq!(names(&uppermost.above), ["Wind Holding", "北风"]);

    let put = async |id, parent| store.change_organization(&Actor::Local, id, None, Some(parent)).await;
    for wrong in [holding, north, depot] {
        assert!(matches!(put(holding, Some(wrong)).await, Err(OrganizationError::Circle)));
    }
    assert!(matches!(put(north, Some(OrganizationId(999))).await, Err(OrganizationError::NoParent)));
    assert!(matches!(put(OrganizationId(999), None).await, Err(OrganizationError::NotThere)));
    let taken = store.add_organization(&Actor::Local, &line("北风"), None).await;
    assert!(matches!(taken, Err(OrganizationError::NameTaken)));
    assert_eq!(put(north, None).await.unwrap().parent, None);

    // What means something to a database means itself.
    let found = async |part| {
        let found = store.list_organizations(Some(part), None, 9).await.unwrap();
        found.into_iter().map(|found| found.organization.name).collect::<Vec<_>>()
    };
    assert_eq!(found("wIND h").await, ["Wind Holding"]);
    assert_eq!(found("北风").await, ["北风", "北风 Depot 100%"]);
    assert_eq!(found("%").await, ["北风 Depot 100%"]);
    assert_eq!(found("_").await, Vec::<String>::new());
    assert_eq!(found("\\").await, Vec::<String>::new());

    let mut below = holding;
    for depth in 1..16 {
        below = company(&world, &format!("depth {depth}"), Some(below)).await;
    }
    let deeper = store.add_organization(&Actor::Local, &line("too deep"), Some(below)).await;
    assert!(matches!(deeper, Err(OrganizationError::TooDeep)));

    // Every page once, whatever the databases' order is.
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = store.list_organizations(None, listed.last().map(String::as_str), 5).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.into_iter().map(|found| found.organization.name));
    }
    assert_eq!(listed.iter().collect::<std::collections::BTreeSet<_>>().len(), listed.len());
    assert_eq!(listed.len(), 18);
}

async fn callers_who_have_said_no_company_yet_are_none(world: World) {
    let call = NewTicket { customer: line(""), contact: None, ..new_ticket("Call") };
    world.store.open_ticket(&Actor::Local, call, None).await.unwrap().unwrap();
    assert_eq!(world.store.list_organizations(None, None, 9).await.unwrap(), []);
}

async fn a_company_that_is_renamed_is_found_by_its_new_name(world: World) {
    let ticket = world.ticket().await;
    let id = ticket.customer_id;
    assert_eq!(world.store.list_organizations(Some("Nordwind"), None, 9).await.unwrap()[0].open_tickets, 1);
    world.store.change_organization(&Actor::Local, id, Some(&line("Ostwind Spedition")), None).await.unwrap();
    let found = async |words| world.store.search_tickets(words, None, 9).await.unwrap();
    assert_eq!(found("spedition").await[0].customer, "Ostwind Spedition");
    assert_eq!(found("nordwind").await, []);
    // The same again changes nothing.
    let lines = world.store.audit_lines_after(0, 999).await.unwrap().len();
    world.store.change_organization(&Actor::Local, id, Some(&line("Ostwind Spedition")), None).await.unwrap();
    assert_eq!(world.store.audit_lines_after(0, 999).await.unwrap().len(), lines);
}

async fn two_people_who_are_one_share_their_tickets_until_the_merge_is_undone(mut world: World) {
    let (one, other) = (asked_by(&world, "Ada").await, asked_by(&world, "Ada Lovelace").await);
    let (from, into) = (one.contact_id.unwrap(), other.contact_id.unwrap());
    let reach = ContactChange { reach: Some(Some(line("030 123"))), ..Default::default() };
    world.store.change_contact(&Actor::Local, from, &reach).await.unwrap();
    let stays = world.store.merge_contacts(&Actor::Local, from, into).await.unwrap();
    assert_eq!((stays.id, stays.reach.as_deref()), (into, Some("030 123")));
    world.restart().await;
    let history = async |world: &World, contact| {
        let filter = TicketFilter { contact: Some(contact), ..Default::default() };
        let tickets = world.store.list_tickets(&filter, 9).await.unwrap();
        tickets.into_iter().map(|ticket| ticket.number).collect::<Vec<_>>()
    };
    assert_eq!(history(&world, into).await, [other.number, one.number]);
    let moved = world.store.ticket(one.number).await.unwrap().unwrap();
    assert_eq!((moved.contact.as_deref(), moved.version), (Some("Ada Lovelace"), one.version + 1));
    // Whoever uses the old name means the same person, and is found once.
    let again = asked_by(&world, "Ada").await;
    assert_eq!(again.contact_id, Some(into));
    assert_eq!(world.store.find_contacts("ADA", 9).await.unwrap().len(), 1);
    assert_eq!(world.store.find_contacts("123", 9).await.unwrap()[0].contact.id, into);

    let back = world.store.undo_merge(&Actor::Local, from).await.unwrap();
    assert_eq!((back.merged_into, back.reach.as_deref()), (None, Some("030 123")));
    assert_eq!(history(&world, from).await, [one.number]);
    assert_eq!(history(&world, into).await, [again.number, other.number]);
    assert_eq!(world.store.contact(into).await.unwrap().unwrap().reach, None);
    let twice = world.store.undo_merge(&Actor::Local, from).await;
    assert!(matches!(twice, Err(ContactError::NotMerged)));
}

async fn a_merge_touches_nothing_that_was_changed_since_when_it_is_undone(world: World) {
    let (one, other) = (asked_by(&world, "Ada").await, asked_by(&world, "Bo").await);
    let (from, into) = (one.contact_id.unwrap(), other.contact_id.unwrap());
    world.store.merge_contacts(&Actor::Local, from, into).await.unwrap();
    let change = TicketChange { contact: Some(Some(line("Cy"))), ..Default::default() };
    let elsewhere = world.change(one.number, change).await.unwrap();
    world.store.undo_merge(&Actor::Local, from).await.unwrap();
    assert_eq!(world.store.ticket(one.number).await.unwrap().unwrap().contact_id, elsewhere.contact_id);
}

async fn what_cannot_be_merged_is_refused(world: World) {
    let (north, south) = (company(&world, "Nord", None).await, company(&world, "Süd", None).await);
    let ada = person(&world, north, "Ada", None).await.id;
    let bo = person(&world, north, "Bo", None).await.id;
    let cy = person(&world, north, "Cy", None).await.id;
    let stranger = person(&world, south, "Ada", None).await.id;
    let merge = async |from, into| world.store.merge_contacts(&Actor::Local, from, into).await;
    assert!(matches!(merge(ada, ada).await, Err(ContactError::Same)));
    assert!(matches!(merge(ada, stranger).await, Err(ContactError::AnotherCompany)));
    assert!(matches!(merge(ada, ContactId(999)).await, Err(ContactError::NotThere)));
    merge(ada, bo).await.unwrap();
    for (from, into) in [(ada, cy), (bo, ada), (cy, ada)] {
        assert!(matches!(merge(from, into).await, Err(ContactError::Merged)));
    }
    let renamed = ContactChange { name: Some(line("Eve")), ..Default::default() };
    let refused = world.store.change_contact(&Actor::Local, ada, &renamed).await;
    assert!(matches!(refused, Err(ContactError::Merged)));
    // What was merged on is undone in the order in which it came.
    merge(bo, cy).await.unwrap();
    assert!(matches!(world.store.undo_merge(&Actor::Local, ada).await, Err(ContactError::Merged)));
    world.store.undo_merge(&Actor::Local, bo).await.unwrap();
    world.store.undo_merge(&Actor::Local, ada).await.unwrap();
    let taken = NewContact { name: line("Ada"), reach: None, language: None };
    let refused = world.store.add_contact(&Actor::Local, north, &taken).await;
    assert!(matches!(refused, Err(ContactError::NameTaken)));
}

async fn products_have_licences_that_end(world: World) {
    let (north, south) = (company(&world, "Nord", None).await, company(&world, "Süd", None).await);
    let new = |name: &str, until| NewProduct {
        name: line(name),
        version: Some(line("4.2")),
        note: Some(line("  ")),
        licence_until: until,
    };
    let keep = async |of, id, new: NewProduct| world.store.keep_product(&Actor::Local, of, id, &new).await;
    let kept = keep(north, None, new("Drucker", Some(UnixMillis(1_000)))).await.unwrap();
    assert_eq!((kept.licence_until_ms, kept.note.as_deref()), (Some(UnixMillis(1_000)), None));
    let changed = keep(north, Some(kept.id), new("Plotter", None)).await.unwrap();
    assert_eq!(world.store.organization(north).await.unwrap().unwrap().products, [changed]);
    assert!(matches!(keep(south, Some(kept.id), new("x", None)).await, Err(OrganizationError::NotThere)));
    let elsewhere = world.store.forget_product(&Actor::Local, south, kept.id).await;
    assert!(matches!(elsewhere, Err(OrganizationError::NotThere)));
    world.store.forget_product(&Actor::Local, north, kept.id).await.unwrap();
    assert_eq!(world.store.organization(north).await.unwrap().unwrap().products, []);
}
