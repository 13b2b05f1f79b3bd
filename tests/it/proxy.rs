//! The agent as a process behind a proxy that alone leads out.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use belay_tests::programs::{DEADLINE, Ended, Program, Running, Site, free_port, run};
use belay_tests::proxy::ConnectProxy;
use rustix::process::Signal;

/// `user:p@ss`, as RFC 7617 has it.
pub(super) const AUTHORIZATION: &str = "Basic dXNlcjpwQHNz";

/// An address of this machine at which nothing listens, and which only the proxy takes for the relay's.
const ELSEWHERE: &str = "127.0.0.2:";

fn to_loopback(target: &str) -> String {
    target.replace(ELSEWHERE, "127.0.0.1:")
}

/// `join` by a link whose relay can be reached neither by UDP nor by TCP.
fn join(site: &Site, name: &str, proxy: &str) -> Command {
    let link = site.open_ticket().unwrap().link;
    let hidden = link.replace("//127.0.0.1:", &format!("//{ELSEWHERE}"));
    assert_ne!(hidden, link);
    let mut command = site.join(name, &["--yes", "--insecure-http", &hidden]).unwrap();
    command.env("HTTPS_PROXY", proxy);
    command
}

/// Where something listens that speaks HTTP and is no proxy, until the tests are over.
fn web_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        }
    });
    address
}

fn finish(command: &mut Command) -> Ended {
    Running::start(command).unwrap().finish(DEADLINE).unwrap()
}

#[test]
fn an_agent_without_udp_joins_through_a_proxy_that_asks_for_a_password() {
    let site = Site::open().unwrap();
    let proxy = ConnectProxy::start(AUTHORIZATION, to_loopback).unwrap();
    let address = proxy.address();

    let ended = finish(&mut join(&site, "without", ""));
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.err.contains("does not answer"), "{ended}");
    assert_eq!((proxy.refused(), proxy.targets().len()), (0, 0));

    let nobody = free_port().unwrap();
    let web = web_server();
    for (proxy, language, sentence) in [
        (format!("http://{address}"), "en", "asks for a name and a password".to_owned()),
        (format!("http://{address}"), "zh", "代理需要用户名和密码".to_owned()),
        (format!("http://user:wrong@{address}"), "en", "does not accept the name and the password".to_owned()),
        (format!("http://user:wrong@{address}"), "zh", "代理不接受".to_owned()),
        (format!("http://user:wrong@127.0.0.1:{nobody}"), "en", format!("proxy 127.0.0.1:{nobody}")),
        (format!("http://user:wrong@127.0.0.1:{nobody}"), "zh", format!("127.0.0.1:{nobody} 没有响应")),
        (format!("http://user:wrong@{web}"), "en", "(it answered 405)".to_owned()),
        (format!("http://user:wrong@{web}"), "zh", "（返回 405）".to_owned()),
    ] {
        let ended = finish(join(&site, "refused", &proxy).env("LANG", language));
        assert_eq!(ended.code, Some(1), "{ended}");
        assert!(ended.err.contains(&sentence) && !ended.err.contains("wrong@"), "{sentence}: {ended}");
    }
    assert!(proxy.refused() >= 4 && proxy.targets().is_empty());

    let ended = finish(&mut join(&site, "through", &format!("http://user:p%40ss@{address}")));
    assert_eq!(ended.code, Some(0), "{ended}");
    ended.json().unwrap();
    let targets = proxy.targets();
    assert!(!targets.is_empty() && targets.iter().all(|target| target.starts_with(ELSEWHERE)), "{targets:?}");

    // An exempt host is not asked for through the proxy.
    let mut exempt = join(&site, "exempt", &format!("http://user:p%40ss@{address}"));
    let ended = finish(exempt.env("no_proxy", "127.0.0.2"));
    assert_eq!((ended.code, proxy.targets().len()), (Some(1), targets.len()), "{ended}");
}

#[test]
fn a_desk_without_udp_serves_through_a_proxy_that_asks_for_a_password() {
    let mut site = Site::open().unwrap();
    site.stop_console().unwrap();
    let proxy = ConnectProxy::start(AUTHORIZATION, to_loopback).unwrap();
    let relay = site.relay().out().line_with("#").unwrap().replace("127.0.0.1:", ELSEWHERE);
    let mut serving = Program::Console.command(site.path()).unwrap();
    serving.args(["serve", "--data", "desk", "--http", "127.0.0.1:0", "--relay", relay.trim()]);
    serving.env("HTTPS_PROXY", format!("http://user:p%40ss@{}", proxy.address()));
    let console = Running::start(&mut serving).unwrap();
    console.err().line_with("registered with the relay").unwrap();

    let link = to_loopback(&site.open_ticket().unwrap().link);
    let ended = finish(&mut site.join("device", &["--yes", "--insecure-http", &link]).unwrap());
    assert_eq!(ended.code, Some(0), "{ended}");
    let targets = proxy.targets();
    assert!(!targets.is_empty() && targets.iter().all(|target| target.starts_with(ELSEWHERE)), "{targets:?}");
    assert_eq!(console.stop(Signal::TERM).unwrap().code, Some(0));
}

#[test]
fn a_proxy_that_is_none_is_one_sentence_without_its_password() {
    let site = Site::open().unwrap();
    let wrong = "ftp://user:s3cret@proxy:21";
    for (language, sentence) in [("en", "not the address of an HTTP proxy"), ("zh", "不是有效的 HTTP 代理地址")]
    {
        let mut joining = site.join("device", &["help.example.com", "418205975"]).unwrap();
        let mut serving = Program::Console.command(site.path()).unwrap();
        serving.args(["serve", "--data", "another"]);
        for command in [&mut joining, &mut serving] {
            let ended = run(command.env("https_proxy", wrong).env("LANG", language)).unwrap();
            assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended}");
            assert!(ended.err.contains(sentence) && !ended.err.contains("s3cret"), "{ended}");
        }
    }
}
