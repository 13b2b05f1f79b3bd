//! What goes wrong between a customer and a desk: each time one clear sentence, programs that stay up, and a ticket whose
//! state is right.

use std::io::{self, BufRead, Read};
use std::sync::mpsc;
use std::time::Duration;

use belay_agent::join::{JoinError, JoinOptions, Joined, join};
use belay_console::life::Closing;
use belay_console::store::{Actor, EventKind, SessionState, TicketChange};
use belay_console::ticket::TicketState;
use belay_protocol::Language;
use belay_protocol::invite::{Code, Invite};
use belay_protocol::message::{EndReason, RelayRefusal};
use belay_relay::client::RelayError;
use belay_relay::identity::Identity;
use belay_relay::server::{Caps, Config};
use belay_tests::links::{RunningRelay, loopback_relay};
use belay_tests::lying_relay::LyingRelay;
use belay_tests::world::{Desk, DeskOptions, Page, World, run};
use tokio_util::sync::CancellationToken;

/// One sentence in each language, without a trace of the machinery.
fn assert_clear(error: &JoinError) {
    let (english, chinese) = (error.sentence(Language::English), error.sentence(Language::Chinese));
    assert!(english.ends_with('.') && english.is_ascii() || english.contains(':'), "{english}");
    assert!(chinese.ends_with('。'), "{chinese}");
    for machinery in ["Error", "unwrap", "Some(", "{", "}"] {
        assert!(!english.contains(machinery) && !chinese.contains(machinery), "{english} / {chinese}");
    }
}

/// After every failure the desk still works: the next customer is served.
async fn assert_still_works(world: &World) {
    let ticket = world.desk.ticket("the next one").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let (joined, page) = world.join("next", &invite).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
    assert_eq!(world.desk.reports(ticket.number).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_used_expired_and_closed_codes_look_the_same_and_leave_the_ticket_as_it_was() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();

    let other = (0..).map(Code::from_number).find(|code| *code != invite.code).unwrap();
    let (joined, page) = world.join("wrong", &Invite { code: other, ..invite.clone() }).await;
    let wrong = joined.unwrap_err();
    assert!(matches!(wrong, JoinError::CodeRefused), "{wrong:?}");
    assert!(!page.contains("slow"), "the ticket's title is not shown to strangers: {page}");
    assert_clear(&wrong);

    // The right code with a wrong secret is a forged link.
    let mut forged = invite.clone();
    forged.secret.0[0] ^= 1;
    let forged = world.join("forged", &forged).await.0.unwrap_err();
    assert_eq!(forged.to_string(), wrong.to_string());

    assert!(matches!(world.join("first", &invite).await.0, Ok(Joined::Filed(_))));
    let used = world.join("second", &invite).await.0.unwrap_err();
    assert_eq!(used.to_string(), wrong.to_string());
    assert!(world.desk.events(ticket.number).await.unwrap().contains(&EventKind::InviteRefused));

    let expired = world.desk.invite(&ticket).await.unwrap();
    world.desk.clock.advance(Duration::from_secs(16 * 60));
    let late = world.join("late", &expired).await.0.unwrap_err();
    assert_eq!(late.to_string(), wrong.to_string());

    let closing = world.desk.invite(&ticket).await.unwrap();
    close(&world.desk, &ticket).await;
    let closed = world.join("closed", &closing).await.0.unwrap_err();
    assert_eq!(closed.to_string(), wrong.to_string());

    let reports = world.desk.reports(ticket.number).await.unwrap();
    assert_eq!(reports.len(), 1, "only the good code filed a report");
    assert_still_works(&world).await;
}

pub(super) async fn close(desk: &Desk, ticket: &belay_console::store::Ticket) {
    let now = desk.store.ticket(ticket.number).await.unwrap().unwrap();
    let closing = Some(Closing::Withdrawn);
    let change = TicketChange { state: Some(TicketState::Closed), closing, ..TicketChange::default() };
    desk.store.change_ticket(&Actor::Local, ticket.number, now.version, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guessing_device_is_slowed_down_and_the_owner_of_the_link_is_not() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut slowed = None;
    for guess in 0..20 {
        let mut options = world.options("guesser", &invite);
        options.invite = world.desk.profile.help_host.clone();
        options.code = Some(Code::from_number(guess).digits());
        match run(options, "").await.0.unwrap_err() {
            JoinError::CodeRefused => {}
            error => {
                slowed = Some(error);
                break;
            }
        }
    }
    let slowed = slowed.expect("twenty guesses are too many");
    assert!(matches!(slowed, JoinError::SlowDown { .. }), "{slowed:?}");
    assert_clear(&slowed);
    let (joined, page) = world.join("customer", &invite).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "the guesser shares the customer's network: {joined:?}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_organization_key_and_a_wrong_relay_key_stop_before_anything_is_said() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let stranger = Identity::generate().unwrap();

    let organization = Invite { organization: stranger.organization_key(), ..invite.clone() };
    let error = world.join("device", &organization).await.0.unwrap_err();
    assert!(matches!(error, JoinError::NotConnected(RelayRefusal::DeskOffline)), "{error:?}");
    assert_clear(&error);

    let mut relay = invite.clone();
    relay.relay.key = stranger.relay_key();
    let error = world.join("device", &relay).await.0.unwrap_err();
    assert!(matches!(&error, JoinError::Relay { source: RelayError::WrongKey, .. }), "{error:?}");
    assert_clear(&error);

    assert_eq!(world.desk.events(ticket.number).await.unwrap(), [EventKind::TicketOpened, EventKind::InviteMinted]);
    assert!(matches!(world.join("device", &invite).await.0, Ok(Joined::Filed(_))), "the code was not used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_connects_to_another_desk_is_found_out_before_the_code_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let relay = LyingRelay::start(&dir.path().join("relay")).unwrap();
    let thief = Desk::start(&dir.path().join("thief"), relay.address.clone(), DeskOptions::default()).await.unwrap();
    let ticket = thief.ticket("slow").await.unwrap();
    let invite = thief.invite(&ticket).await.unwrap();
    let world = World::start().await.unwrap();

    // With its own invites the thief's desk works over this relay: what fails below fails for one reason.
    assert!(matches!(world.join("device", &invite).await.0, Ok(Joined::Filed(_))));
    let invite = thief.invite(&ticket).await.unwrap();
    let stolen = Invite { organization: world.desk.profile.organization, ..invite };
    let mut options = world.options("device", &stolen);
    options.insecure_http = false;
    let error = run(options, "").await.0.unwrap_err();
    assert!(matches!(error, JoinError::NotTheDesk), "{error:?}");
    assert_clear(&error);
    assert_eq!(thief.reports(ticket.number).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_names_itself_like_another_is_contradicted_by_the_others_domain() {
    let world = World::start().await.unwrap();
    let relay = world.relay.as_ref().unwrap().address.clone();
    // Same name, and the honest desk's own help address.
    let options = DeskOptions { help_host: Some(world.desk.profile.help_host.clone()), ..DeskOptions::default() };
    let cheat = Desk::start(&world.dir().join("cheat"), relay, options).await.unwrap();
    let ticket = cheat.ticket("slow").await.unwrap();
    let invite = cheat.invite(&ticket).await.unwrap();
    let (joined, page) = world.join("device", &invite).await;
    let error = joined.unwrap_err();
    assert!(matches!(error, JoinError::Impostor(_)), "{error:?}");
    assert_clear(&error);
    assert!(!page.contains("verified"), "{page}");
    assert!(cheat.reports(ticket.number).await.unwrap().is_empty());

    // Where the domain cannot be asked, the desk is shown as unverified with its key's words.
    let mut options = world.options("device", &invite);
    options.insecure_http = false;
    options.yes = false;
    let (joined, page) = run(options, "n\n").await;
    assert!(matches!(joined, Ok(Joined::Refused)), "{joined:?}");
    assert!(page.contains("UNVERIFIED"), "{page}");
    assert_still_works(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_desk_and_an_absent_relay_are_told_apart() {
    let mut world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let World { desk, .. } = &world;
    let options = world.options("device", &invite);
    let profile = desk.profile.clone();
    drop(profile);
    let dir = tempfile::tempdir().unwrap();
    let empty = RunningRelay::start(&loopback_relay(dir.path())).unwrap();
    let mut elsewhere = invite.clone();
    elsewhere.relay = empty.address.clone();
    let error = world.join("device", &elsewhere).await.0.unwrap_err();
    assert!(matches!(error, JoinError::NotConnected(RelayRefusal::DeskOffline)), "{error:?}");
    assert_clear(&error);

    world.relay.take().unwrap().stop().await;
    let error = run(options, "").await.0.unwrap_err();
    assert!(matches!(&error, JoinError::Relay { .. }), "{error:?}");
    assert_clear(&error);
    assert_eq!(world.desk.store.ticket(ticket.number).await.unwrap().unwrap().state, TicketState::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_says_no_sends_nothing() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    for answers in ["n\n", "", "what?\nno\n"] {
        let invite = world.desk.invite(&ticket).await.unwrap();
        let mut options = world.options("device", &invite);
        options.yes = false;
        let (joined, page) = run(options, answers).await;
        assert!(matches!(joined, Ok(Joined::Refused)), "{joined:?}");
        assert!(page.contains("Nothing was sent"), "{page}");
    }
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut options = world.options("device", &invite);
    options.grant = Some(vec![]);
    assert!(matches!(run(options, "").await.0, Ok(Joined::Refused)), "--grant allows less than the desk asks for");

    assert!(world.desk.reports(ticket.number).await.unwrap().is_empty());
    let sessions = world.desk.sessions(ticket.number).await.unwrap();
    assert_eq!(sessions.len(), 4);
    for session in sessions {
        assert_eq!(session.state, SessionState::Ended);
        let consent = session.consents.first().expect("the refusal is recorded");
        assert!(consent.granted.is_empty() && consent.refused == ["survey"], "{consent:?}");
    }
}

/// A customer who thinks until they are told what to answer.
pub(super) struct Thinking(pub(super) mpsc::Receiver<&'static str>);

impl Read for Thinking {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl BufRead for Thinking {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.0.recv().unwrap_or_default().as_bytes())
    }

    fn consume(&mut self, _: usize) {}
}

pub(super) async fn until(desk: &Desk, ticket: &belay_console::store::Ticket, kind: EventKind) {
    let mut events = desk.store.events_after(belay_console::store::EventId(0));
    let seen = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let event = events.next().await.unwrap();
            if event.ticket == ticket.number && event.kind == kind {
                return;
            }
        }
    });
    if seen.await.is_err() {
        panic!("{kind:?} does not come; there are {:?}", desk.events(ticket.number).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_closed_while_the_customer_thinks_ends_the_session() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut options = world.options("device", &invite);
    options.yes = false;
    let (answer, thinking) = mpsc::channel();
    let joining = tokio::spawn(join(options, Page::default().person(Thinking(thinking)), CancellationToken::new()));
    until(&world.desk, &ticket, EventKind::SessionStarted).await;
    close(&world.desk, &ticket).await;
    let error = joining.await.unwrap().unwrap_err();
    assert!(matches!(error, JoinError::Ended(EndReason::TicketClosed)), "{error:?}");
    assert_clear(&error);
    drop(answer);
    assert!(world.desk.reports(ticket.number).await.unwrap().is_empty());
    assert_eq!(world.desk.sessions(ticket.number).await.unwrap()[0].state, SessionState::Ended);
    assert_still_works(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_cuts_the_session_is_gone_at_once_and_may_come_back() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut options = world.options("device", &invite);
    options.yes = false;
    let (answer, thinking) = mpsc::channel();
    let cut = CancellationToken::new();
    let joining = tokio::spawn(join(options, Page::default().person(Thinking(thinking)), cut.clone()));
    until(&world.desk, &ticket, EventKind::SessionStarted).await;
    cut.cancel();
    let error = joining.await.unwrap().unwrap_err();
    assert!(matches!(error, JoinError::Cut), "{error:?}");
    assert_clear(&error);
    drop(answer);
    until(&world.desk, &ticket, EventKind::SessionInterrupted).await;
    let (joined, page) = world.join("device", &invite).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
    assert_eq!(world.desk.sessions(ticket.number).await.unwrap().len(), 1, "the same session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_and_technician_are_shown_the_same_words() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let (joined, page) = world.join("device", &invite).await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
    let sessions = world.desk.sessions(ticket.number).await.unwrap();
    let words = sessions[0].phrase.clone().expect("the words are kept");
    assert!(words.en.split(' ').count() == 3 && page.contains(&words.en), "{words:?}\n{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_leaves_out_is_said_to_be_left_out_and_never_to_be_fine() {
    let world = World::start().await.unwrap();
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    let mut options = world.options("device", &invite);
    options.yes = false;
    let (joined, page) = run(options, "2 6\ny\n").await;
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
    let reports = world.desk.reports(ticket.number).await.unwrap();
    let left_out: Vec<_> = reports[0].withheld.iter().map(|one| (one.section.as_str(), one.reason.as_str())).collect();
    assert_eq!(left_out, [("disk", "by_person"), ("findings", "by_person")]);
    assert!(reports[0].findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_waits_for_a_relay_that_is_full_and_is_told_so() {
    let world = World::start().await.unwrap();
    let handle = &world.relay.as_ref().unwrap().handle;
    let with_room_for = |endpoints| {
        let caps = Caps { endpoints, ..Caps::default() };
        handle.reload(&Config { caps, ..loopback_relay(world.dir()) }).unwrap();
    };
    let ticket = world.desk.ticket("slow").await.unwrap();
    let invite = world.desk.invite(&ticket).await.unwrap();
    // The desk has the one place.
    with_room_for(1);
    let impatient = JoinOptions { patience: Duration::from_secs(1), ..world.options("impatient", &invite) };
    let (refused, _) = run(impatient, "").await;
    let sentence = refused.unwrap_err().sentence(Language::English);
    assert!(sentence.contains("full at the moment"), "{sentence}");

    let patient = JoinOptions { patience: Duration::from_secs(60), ..world.options("patient", &invite) };
    let joining = tokio::spawn(async move { run(patient, "").await });
    // Long enough to be told, and shorter than any wait that a relay asks for.
    tokio::time::sleep(Duration::from_secs(5)).await;
    with_room_for(10);
    let (joined, page) = joining.await.unwrap();
    assert!(matches!(joined, Ok(Joined::Filed(_))), "{joined:?}\n{page}");
    assert!(page.contains("The relay is full at the moment; trying again in"), "{page}");
}
