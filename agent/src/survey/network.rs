//! Interfaces, routes, names, sockets and the way to the desk, all at once.

use std::collections::BTreeMap;

use belay_protocol::BoundedVec;
use belay_protocol::report::{
    Address, DeskPath, DnsServer, Fact, Interface, InterfaceAddress, Network, Private, Rates, Raw, RelayPath, Why,
    WhyKind,
};

use super::{CPU_PAUSE, Look, NETWORK, flat, one};
use crate::probe::{Root, addresses, desk_path, dns, interfaces, proxies, routes, sockets, traffic, way_out};

pub(super) async fn look(root: &Root, options: &Look) -> Network<Raw> {
    let deadline = options.deadline;
    let (
        interfaces,
        addresses,
        looked,
        traffic,
        dns_servers,
        system_resolver,
        proxies,
        sockets,
        conntrack,
        (desk, relay),
    ) = tokio::join!(
        one("interfaces", NETWORK, deadline, root, interfaces::look),
        one("addresses", NETWORK, deadline, root, addresses::look),
        one("routes", NETWORK, deadline, root, routes::look),
        one("traffic", NETWORK, deadline, root, |root| traffic::watch(root, CPU_PAUSE)),
        dns_servers(root, options),
        system_resolver(root, options),
        one("proxies", NETWORK, deadline, root, proxies::look),
        one("sockets", NETWORK, deadline, root, sockets::look),
        one("conntrack", NETWORK, deadline, root, sockets::conntrack),
        desk(root, options),
    );
    let system_resolver = match (system_resolver, &dns_servers) {
        (Fact::Known(system), Fact::Known(servers)) => {
            Fact::Known(dns::beside_servers(system, servers.iter().map(|server| &server.probe)))
        }
        (system, _) => system,
    };
    let (rates, tcp, softnet) = match traffic {
        Ok(traffic) => (traffic.rates, traffic.tcp, traffic.softnet),
        Err(why) => (Err(why.clone()), Err(why.clone()), Err(why)),
    };
    let addresses = addresses.and_then(|found| found);
    let interfaces: Fact<_> = flat(interfaces);
    let interfaces = interfaces.map(|found| complete(found, &addresses, &rates));
    let (default_routes, entries) = match looked.and_then(|found| found) {
        Ok(looked) => (Fact::Known(looked.defaults), Ok(looked.entries)),
        Err(why) => (Fact::Unknown(why.clone()), Err(why)),
    };
    let routes = entries.map(|entries| {
        let kinds = interfaces.known().into_iter().flat_map(|all| all.iter());
        routes::table(entries, &kinds.map(|one| (one.name.reveal().to_owned(), one.kind)).collect())
    });
    let way_out = match (&default_routes, &interfaces) {
        (Fact::Known(routes), Fact::Known(interfaces)) => way_out::find(root, routes, interfaces).into(),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why.clone()),
    };
    let (listeners, sockets) = match sockets.and_then(|found| found) {
        Ok(sockets) => (Fact::Known(sockets.listeners), Fact::Known(sockets.states)),
        Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
    };
    Network {
        interfaces,
        default_routes,
        dns_servers,
        system_resolver,
        relay,
        way_out,
        proxies: flat(proxies),
        desk,
        listeners,
        sockets,
        conntrack: flat(conntrack),
        tcp: tcp.into(),
        softnet: softnet.into(),
        routes: routes.into(),
    }
}

/// Puts together what was found out about each interface in different places.
fn complete(
    interfaces: BoundedVec<Interface<Raw>, 256>,
    addresses: &Result<BTreeMap<String, Vec<InterfaceAddress<Raw>>>, Why>,
    rates: &Result<BTreeMap<String, Rates>, Why>,
) -> BoundedVec<Interface<Raw>, 256> {
    let came_later = || Why::new(WhyKind::NotOffered, "rtnetlink");
    let one = |mut interface: Interface<Raw>| {
        let name = interface.name.reveal();
        let known = addresses.as_ref().map_err(Clone::clone);
        let known = known.and_then(|all| all.get(name).cloned().ok_or_else(came_later));
        interface.addresses = known.map(|known| BoundedVec::truncating(known).0).into();
        let known = rates.as_ref().map_err(Clone::clone);
        interface.rates = known.and_then(|all| all.get(name).copied().ok_or_else(came_later)).into();
        interface
    };
    BoundedVec::truncating(interfaces.into_vec().into_iter().map(one)).0
}

async fn system_resolver(root: &Root, options: &Look) -> Fact<belay_protocol::report::DnsProbe> {
    match options.extent.asks_others().and_then(|()| root.live_only("getaddrinfo")) {
        Ok(()) => Fact::Known(dns::ask_system(options.deadline).await),
        Err(why) => Fact::Unknown(why),
    }
}

async fn desk(root: &Root, options: &Look) -> (Fact<DeskPath>, Fact<RelayPath>) {
    let (Some(desk), Ok(())) = (&options.desk, root.live_only("desk")) else {
        let not_asked = |source| Why::new(WhyKind::NotApplicable, source);
        return (Fact::Unknown(not_asked("desk")), Fact::Unknown(not_asked("relay")));
    };
    let (path, relay) = desk_path::look(desk).await;
    (Fact::Known(path), relay)
}

async fn dns_servers(root: &Root, options: &Look) -> Fact<BoundedVec<DnsServer<Raw>, 16>> {
    let deadline = options.deadline;
    if let Err(why) = options.extent.asks_others() {
        return Fact::Unknown(why);
    }
    let servers = match one("resolv.conf", dns::SUBJECT, deadline, root, dns::read_servers).await {
        Ok(Ok(servers)) => servers,
        Ok(Err(why)) | Err(why) => return Fact::Unknown(why),
    };
    let mut asked = tokio::task::JoinSet::new();
    let live = root.live_only("dns");
    for (place, server) in servers.into_iter().enumerate() {
        let live = live.clone();
        asked.spawn(async move {
            let (probe, invents_names) = match live {
                Ok(()) => {
                    let socket = (server, DNS_PORT).into();
                    let both = tokio::join!(dns::ask(socket, deadline), dns::invents_names(socket, deadline));
                    (Fact::Known(both.0), both.1.into())
                }
                Err(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
            };
            (place, DnsServer { address: Private::<Address>::new(server.to_string()), probe, invents_names })
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    Fact::Known(BoundedVec::truncating(answers.into_iter().map(|(_, server)| server)).0)
}

const DNS_PORT: u16 = 53;
