//! The console's one HTTP API, for the web console, for programs and for the command line.
//!
//! Every route is in a table: `PUBLIC` or `ROUTES`. The guard in front of them refuses what is in neither.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use belay_protocol::OrganizationKey;
use belay_protocol::invite::RelayAddress;
use belay_protocol::rules::Pack;

use crate::builds::Builds;
use crate::data::DataDirectory;
use crate::passkey::{NoName, RelyingParty};
use crate::policy::Action;
use crate::secret::Token;
use crate::store::Store;

mod about;
mod account;
mod api_tokens;
mod attachments;
mod backups;
mod customer;
mod devices;
mod docs;
mod groups;
mod guard;
mod history;
mod live;
mod metrics;
mod passkeys;
mod people;
mod problem;
mod request;
mod rules;
mod second_factor;
mod sign_in;
mod thread;
mod tickets;
mod time_entries;
mod tools;
mod ui;
mod users;
mod work;

#[cfg(test)]
mod tests;

pub use guard::Arrival;
pub use problem::Problem;
pub(crate) use request::SAVED_REPORT;
pub use ui::{Asset, AssetSource};

/// Routes that anybody may use.
pub(crate) const PUBLIC: &[(Method, &str)] = &[
    (Method::GET, "/.well-known/belay"),
    (Method::GET, "/agents/{name}"),
    (Method::GET, "/customer.css"),
    (Method::GET, "/ask"),
    (Method::POST, "/ask"),
    (Method::GET, "/join"),
    (Method::POST, "/join"),
    (Method::GET, "/s/{number}/{key}"),
    (Method::POST, "/s/{number}/{key}/fixed"),
    (Method::POST, "/s/{number}/{key}/not-fixed"),
    (Method::POST, "/s/{number}/{key}/score"),
    (Method::POST, "/s/{number}/{key}/write"),
    (Method::GET, "/api/docs"),
    (Method::GET, "/api/docs.css"),
    (Method::GET, "/api/v1/health"),
    (Method::GET, "/api/v1/openapi.json"),
    (Method::POST, "/api/v1/requests"),
    (Method::POST, "/api/v1/session"),
    (Method::POST, "/api/v1/session/link"),
    (Method::POST, "/api/v1/setup"),
    (Method::POST, "/api/v1/session/second-factor"),
    (Method::POST, "/api/v1/session/passkey/begin"),
    (Method::POST, "/api/v1/session/passkey"),
    (Method::POST, FIRST_ADMIN),
];

/// The route that makes the first admin. It is there only while the desk has no user.
pub(crate) const FIRST_ADMIN: &str = "/api/v1/first-admin";

/// Routes for signed-in users, each with the action that their role must allow.
pub(crate) const ROUTES: &[(Method, &str, Action)] = &[
    (Method::GET, "/api/v1/session", Action::UseOwnSignIn),
    (Method::DELETE, "/api/v1/session", Action::UseOwnSignIn),
    (Method::GET, "/api/v1/tickets", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets", Action::WorkOnTickets),
    (Method::GET, "/api/v1/tickets/{number}", Action::ReadDesk),
    (Method::PATCH, "/api/v1/tickets/{number}", Action::WorkOnTickets),
    (Method::GET, "/api/v1/tickets/{number}/articles", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/articles", Action::WorkOnTickets),
    (Method::GET, "/api/v1/tickets/{number}/attachments", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/attachments", Action::WorkOnTickets),
    (Method::GET, "/api/v1/attachments/{id}", Action::ReadDesk),
    (Method::GET, "/api/v1/tickets/{number}/links", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/links", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/tickets/{number}/links/{id}", Action::WorkOnTickets),
    (Method::POST, "/api/v1/tickets/{number}/verify", Action::WorkOnTickets),
    (Method::POST, "/api/v1/tickets/{number}/merge", Action::WorkOnTickets),
    (Method::POST, "/api/v1/tickets/{number}/follow-up", Action::WorkOnTickets),
    (Method::GET, "/api/v1/tickets/{number}/status-link", Action::WorkOnTickets),
    (Method::GET, "/api/v1/groups", Action::ReadDesk),
    (Method::POST, "/api/v1/groups", Action::ConfigureDesk),
    (Method::PATCH, "/api/v1/groups/{id}", Action::ConfigureDesk),
    (Method::GET, "/api/v1/assignment-rules", Action::ReadDesk),
    (Method::PUT, "/api/v1/assignment-rules", Action::ConfigureDesk),
    (Method::GET, "/api/v1/priority-matrix", Action::ReadDesk),
    (Method::PUT, "/api/v1/priority-matrix", Action::ConfigureDesk),
    (Method::GET, "/api/v1/checklists", Action::ReadDesk),
    (Method::POST, "/api/v1/checklists", Action::ConfigureDesk),
    (Method::PUT, "/api/v1/checklists/{id}", Action::ConfigureDesk),
    (Method::DELETE, "/api/v1/checklists/{id}", Action::ConfigureDesk),
    (Method::GET, "/api/v1/tickets/{number}/checklist", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/checklist", Action::WorkOnTickets),
    (Method::PATCH, "/api/v1/tickets/{number}/checklist/{id}", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/tickets/{number}/checklist/{id}", Action::WorkOnTickets),
    (Method::GET, "/api/v1/macros", Action::ReadDesk),
    (Method::POST, "/api/v1/macros", Action::ConfigureDesk),
    (Method::PUT, "/api/v1/macros/{id}", Action::ConfigureDesk),
    (Method::DELETE, "/api/v1/macros/{id}", Action::ConfigureDesk),
    (Method::POST, "/api/v1/tickets/{number}/macros/{id}", Action::WorkOnTickets),
    (Method::GET, "/api/v1/tickets/{number}/time-entries", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/time-entries", Action::WorkOnTickets),
    (Method::PATCH, "/api/v1/tickets/{number}/time-entries/{id}", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/tickets/{number}/time-entries/{id}", Action::WorkOnTickets),
    (Method::GET, "/api/v1/organizations", Action::ReadDesk),
    (Method::POST, "/api/v1/organizations", Action::WorkOnTickets),
    (Method::GET, "/api/v1/organizations/{id}", Action::ReadDesk),
    (Method::PATCH, "/api/v1/organizations/{id}", Action::WorkOnTickets),
    (Method::POST, "/api/v1/organizations/{id}/contacts", Action::WorkOnTickets),
    (Method::POST, "/api/v1/organizations/{id}/products", Action::WorkOnTickets),
    (Method::PUT, "/api/v1/organizations/{id}/products/{product}", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/organizations/{id}/products/{product}", Action::WorkOnTickets),
    (Method::GET, "/api/v1/contacts", Action::ReadDesk),
    (Method::GET, "/api/v1/contacts/{id}", Action::ReadDesk),
    (Method::PATCH, "/api/v1/contacts/{id}", Action::WorkOnTickets),
    (Method::POST, "/api/v1/contacts/{id}/merge", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/contacts/{id}/merge", Action::WorkOnTickets),
    (Method::GET, "/api/v1/overviews", Action::ReadDesk),
    (Method::POST, "/api/v1/overviews", Action::WorkOnTickets),
    (Method::DELETE, "/api/v1/overviews/{id}", Action::WorkOnTickets),
    (Method::POST, "/api/v1/tickets/{number}/invites", Action::InviteCustomers),
    (Method::GET, "/api/v1/tickets/{number}/events", Action::ReadDesk),
    (Method::GET, "/api/v1/tickets/{number}/sessions", Action::ReadDesk),
    (Method::GET, "/api/v1/tickets/{number}/reports", Action::ReadDesk),
    (Method::POST, "/api/v1/tickets/{number}/reports", Action::WorkOnTickets),
    (Method::GET, "/api/v1/search", Action::ReadDesk),
    (Method::GET, "/api/v1/sessions", Action::ReadDesk),
    (Method::GET, "/api/v1/sessions/{id}", Action::ReadDesk),
    (Method::GET, "/api/v1/reports/{id}", Action::ReadDesk),
    (Method::GET, "/api/v1/reports/{id}/facts", Action::ReadDesk),
    (Method::GET, "/api/v1/reports/{id}/changes", Action::ReadDesk),
    (Method::GET, "/api/v1/devices", Action::ReadDesk),
    (Method::GET, "/api/v1/devices/{id}", Action::ReadDesk),
    (Method::GET, "/api/v1/devices/{id}/reports", Action::ReadDesk),
    (Method::GET, "/api/v1/devices/{id}/series", Action::ReadDesk),
    (Method::POST, "/api/v1/devices/{id}/revoke", Action::RevokeDevices),
    (Method::POST, "/api/v1/devices/{id}/restore", Action::RevokeDevices),
    (Method::GET, "/api/v1/rules", Action::ReadDesk),
    (Method::POST, "/api/v1/rules", Action::PublishRules),
    (Method::POST, "/api/v1/rules/rerun", Action::ReadDesk),
    (Method::GET, "/api/v1/rules/docs/{id}", Action::ReadDesk),
    (Method::GET, "/api/v1/events", Action::ReadDesk),
    (Method::GET, "/api/v1/users", Action::ReadUsers),
    (Method::POST, "/api/v1/users", Action::ManageUsers),
    (Method::POST, "/api/v1/users/{id}/reset", Action::ManageUsers),
    (Method::POST, "/api/v1/users/{id}/unlock", Action::ManageUsers),
    (Method::GET, "/api/v1/audit", Action::ReadAudit),
    (Method::GET, "/api/v1/audit/verify", Action::ReadAudit),
    (Method::GET, "/api/v1/audit/export", Action::ExportAudit),
    (Method::POST, "/api/v1/backups", Action::BackUp),
    (Method::GET, "/metrics", Action::ReadMetrics),
    (Method::GET, "/api/v1/sign-ins", Action::UseOwnSignIn),
    (Method::DELETE, "/api/v1/sign-ins/{id}", Action::UseOwnSignIn),
    (Method::POST, "/api/v1/session/password", Action::UseOwnSignIn),
    (Method::POST, "/api/v1/session/step-up", Action::UseOwnSignIn),
    (Method::GET, "/api/v1/account/factors", Action::UseOwnSignIn),
    (Method::POST, "/api/v1/account/totp", Action::SecureOwnAccount),
    (Method::DELETE, "/api/v1/account/totp", Action::SecureOwnAccount),
    (Method::POST, "/api/v1/account/totp/confirm", Action::SecureOwnAccount),
    (Method::POST, "/api/v1/account/recovery-codes", Action::SecureOwnAccount),
    (Method::GET, "/api/v1/account/passkeys", Action::UseOwnSignIn),
    (Method::POST, "/api/v1/account/passkeys/begin", Action::SecureOwnAccount),
    (Method::POST, "/api/v1/account/passkeys", Action::SecureOwnAccount),
    (Method::DELETE, "/api/v1/account/passkeys/{id}", Action::SecureOwnAccount),
    (Method::GET, "/api/v1/account/tokens", Action::UseOwnSignIn),
    (Method::POST, "/api/v1/account/tokens", Action::SecureOwnAccount),
    (Method::DELETE, "/api/v1/account/tokens/{id}", Action::SecureOwnAccount),
    (Method::PATCH, "/api/v1/users/{id}", Action::ManageUsers),
    (Method::GET, "/api/v1/users/{id}/sign-ins", Action::ManageUsers),
    (Method::DELETE, "/api/v1/users/{id}/sign-ins", Action::ManageUsers),
    (Method::POST, "/api/v1/users/{id}/reset-factors", Action::ManageUsers),
];

/// What a desk is called and where it is found.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name for itself.
    pub name: String,
    /// The key that customers pin.
    pub organization: OrganizationKey,
    /// Where customers meet it; the first is in the links.
    pub relays: Vec<RelayAddress>,
    /// The host whose `.well-known/belay` is this console's: `HOST` or `HOST:PORT`.
    pub help_host: String,
    /// Where users open the web console, without a slash at the end.
    pub base_url: String,
    /// Proxies whose word about the client is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The directory with the agent's builds for customers, if they are offered here.
    pub agents: Option<PathBuf>,
    /// The directory of the desk, of which backups are made.
    pub data: Option<DataDirectory>,
    /// The folder of the backups that make themselves.
    pub backup_folder: Option<PathBuf>,
}

impl Profile {
    /// The link by which a user sets their password.
    pub fn set_up_link(&self, token: &Token) -> String {
        format!("{}/setup#{}", self.base_url, token.reveal())
    }

    /// The link by which the first admin of a desk is made.
    pub fn first_admin_link(&self, secret: &Token) -> String {
        format!("{}/first-admin#{}", self.base_url, secret.reveal())
    }

    /// The link by which a user signs in once.
    pub fn sign_in_link(&self, token: &Token) -> String {
        format!("{}/sign-in#{}", self.base_url, token.reveal())
    }

    fn is_own_name(&self, host: &str) -> bool {
        let own = self.help_host.rsplit_once(':').map_or(self.help_host.as_str(), |(name, _)| name);
        own.eq_ignore_ascii_case(host)
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) profile: Arc<Profile>,
    pub(crate) assets: AssetSource,
    pub(crate) shutdown: CancellationToken,
    pub(crate) description: Arc<OpenApi>,
    pub(crate) docs: Arc<str>,
    /// The rules that were needed last.
    pub(crate) last_pack: Arc<Mutex<Option<Arc<Pack>>>>,
    /// What passkeys are bound to, or why they cannot be used.
    pub(crate) party: Arc<Result<RelyingParty, NoName>>,
    /// The secret that the first admin is made with, when this console was started for a desk without users.
    pub(crate) first_admin: Option<Token>,
    /// The agent's builds for customers.
    pub(crate) builds: Arc<Builds>,
    /// What is counted while the console runs.
    pub(crate) traffic: Arc<metrics::Traffic>,
}

/// One page of a list.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next page begins; missing on the last.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` items from a list that was read one item further.
    fn cut<C: ToString>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(|item| cursor(item).to_string()) } else { None };
        Self { items, next_cursor }
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(info(title = "Belay console", description = "Tickets, sessions, reports and findings of a support desk."))]
struct Description;

/// The API as a service. Its requests must carry an [`Arrival`] as an extension; without one they are refused.
pub fn router(
    store: Store,
    profile: Profile,
    assets: AssetSource,
    first_admin: Option<Token>,
    shutdown: CancellationToken,
) -> Router {
    let (routes, description) = described_routes().split_for_parts();
    let docs = docs::render(&description).into();
    let (profile, description) = (Arc::new(profile), Arc::new(description));
    let party = Arc::new(RelyingParty::at(&profile.base_url, &profile.name));
    let builds = Arc::new(Builds::at(profile.agents.clone()));
    let traffic = metrics::Traffic::begin(store.clock().now()).expect("the figures have names that differ");
    let traffic = Arc::new(traffic);
    let api = Api {
        store,
        profile,
        assets,
        shutdown,
        description,
        docs,
        last_pack: Arc::default(),
        party,
        first_admin,
        builds,
        traffic,
    };
    routes
        .route("/api/v1/openapi.json", get(docs::openapi))
        .route("/api/docs", get(docs::page))
        .route("/api/docs.css", get(docs::style))
        .route("/agents/{name}", get(customer::join::download))
        .route("/customer.css", get(customer::style))
        .route("/ask", get(customer::ask::show).post(customer::ask::send))
        .route("/join", get(customer::join::show).post(customer::join::enter))
        .route("/s/{number}/{key}", get(customer::show))
        .route("/s/{number}/{key}/fixed", post(customer::fixed))
        .route("/s/{number}/{key}/not-fixed", post(customer::not_fixed))
        .route("/s/{number}/{key}/score", post(customer::score))
        .route("/s/{number}/{key}/write", post(customer::write))
        .fallback(ui::serve)
        .layer(middleware::from_fn_with_state(api.clone(), guard::authorize))
        .layer(middleware::from_fn_with_state(api.clone(), guard::check_way))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(middleware::from_fn(guard::add_headers))
        .layer(middleware::from_fn_with_state(Arc::clone(&api.traffic), metrics::count))
        .with_state(api)
}

fn described_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(about::well_known))
        .routes(routes!(about::health))
        .routes(routes!(customer::ask::request))
        .routes(routes!(sign_in::me, sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(sign_in::sign_in_by_link))
        .routes(routes!(sign_in::set_up))
        .routes(routes!(sign_in::first_admin))
        .routes(routes!(second_factor::answer))
        .routes(routes!(passkeys::begin_sign_in))
        .routes(routes!(passkeys::sign_in))
        .routes(routes!(account::sign_ins))
        .routes(routes!(account::end_sign_in))
        .routes(routes!(account::change_password))
        .routes(routes!(account::step_up))
        .routes(routes!(account::factors))
        .routes(routes!(second_factor::begin, second_factor::remove))
        .routes(routes!(second_factor::confirm))
        .routes(routes!(second_factor::renew))
        .routes(routes!(passkeys::list, passkeys::add))
        .routes(routes!(passkeys::begin))
        .routes(routes!(passkeys::remove))
        .routes(routes!(api_tokens::list, api_tokens::mint))
        .routes(routes!(api_tokens::revoke))
        .routes(routes!(tickets::list, tickets::open))
        .routes(routes!(tickets::show, tickets::change))
        .routes(routes!(tickets::open_follow_up))
        .routes(routes!(thread::articles, thread::add_article))
        .routes(routes!(attachments::list, attachments::add))
        .routes(routes!(attachments::show))
        .routes(routes!(thread::links, thread::add_link))
        .routes(routes!(thread::remove_link))
        .routes(routes!(thread::verify))
        .routes(routes!(thread::merge))
        .routes(routes!(tickets::search))
        .routes(routes!(tickets::status_link))
        .routes(routes!(groups::list, groups::add))
        .routes(routes!(groups::change))
        .routes(routes!(groups::rules, groups::replace_rules))
        .routes(routes!(tools::matrix, tools::put_matrix))
        .routes(routes!(tools::checklists, tools::add_checklist))
        .routes(routes!(tools::put_checklist, tools::forget_checklist))
        .routes(routes!(tools::items, tools::add_items))
        .routes(routes!(tools::tick_item, tools::remove_item))
        .routes(routes!(tools::macros, tools::add_macro))
        .routes(routes!(tools::put_macro, tools::forget_macro))
        .routes(routes!(tools::run_macro))
        .routes(routes!(time_entries::list, time_entries::add))
        .routes(routes!(time_entries::change, time_entries::remove))
        .routes(routes!(people::organizations, people::add_organization))
        .routes(routes!(people::organization, people::change_organization))
        .routes(routes!(people::add_contact))
        .routes(routes!(people::add_product))
        .routes(routes!(people::put_product, people::forget_product))
        .routes(routes!(people::contacts))
        .routes(routes!(people::contact, people::change_contact))
        .routes(routes!(people::merge_contact, people::undo_merge))
        .routes(routes!(tools::overviews, tools::add_overview))
        .routes(routes!(tools::forget_overview))
        .routes(routes!(tickets::mint_invite))
        .routes(routes!(tickets::events))
        .routes(routes!(work::sessions_of_ticket))
        .routes(routes!(work::reports_of_ticket, work::import_report))
        .routes(routes!(work::sessions))
        .routes(routes!(work::session))
        .routes(routes!(work::report))
        .routes(routes!(work::facts))
        .routes(routes!(history::changes))
        .routes(routes!(devices::list))
        .routes(routes!(devices::show))
        .routes(routes!(history::reports_of_device))
        .routes(routes!(history::series))
        .routes(routes!(devices::revoke))
        .routes(routes!(devices::restore))
        .routes(routes!(rules::list, rules::publish))
        .routes(routes!(rules::rerun))
        .routes(routes!(rules::docs))
        .routes(routes!(live::events))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::change))
        .routes(routes!(users::reset))
        .routes(routes!(second_factor::reset))
        .routes(routes!(account::sign_ins_of_user, account::end_sign_ins_of_user))
        .routes(routes!(users::unlock))
        .routes(routes!(about::audit))
        .routes(routes!(about::verify_audit))
        .routes(routes!(about::export_audit))
        .routes(routes!(backups::make))
        .routes(routes!(metrics::show))
}

/// From the last byte of a request's head to the first of the answer's; a live stream may then go on for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
