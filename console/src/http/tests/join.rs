//! The page on which a customer enters a code and gets the agent.

use super::*;

const LINUX: &str = "belay-agent-x86_64-unknown-linux-musl";
const WINDOWS: &str = "belay-agent-x86_64-pc-windows-gnu.exe";
const CODE: &str = "12345678";

struct Visit {
    world: World,
    agents: std::path::PathBuf,
}

impl Visit {
    async fn new() -> Self {
        let world = World::open().await;
        let agents = world.directory.path().join("agents");
        std::fs::create_dir(&agents).unwrap();
        std::fs::write(agents.join(LINUX), b"abc").unwrap();
        std::fs::write(agents.join(WINDOWS), b"exe").unwrap();
        std::fs::write(agents.join(format!("{WINDOWS}.asc")), b"signature").unwrap();
        std::fs::write(agents.join("server.key"), b"secret").unwrap();
        Self { world, agents }
    }

    async fn read(&self, path: &str, browser: &str) -> (u16, String) {
        let mut request = get(path, "");
        request.headers_mut().insert(header::USER_AGENT, browser.parse().unwrap());
        page(self.world.send(request).await).await
    }

    async fn enter(&self, code: &str, browser: &str) -> (u16, String) {
        let request = request(&Method::POST, "/join?lang=en", "");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header(header::USER_AGENT, browser);
        page(self.world.send(request.body(format!("code={code}").into()).unwrap()).await).await
    }
}

async fn page(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn good_code() -> String {
    belay_protocol::invite::Code::from_number(CODE.parse().unwrap()).digits()
}

#[tokio::test]
async fn a_code_is_entered_and_the_agent_for_ones_system_comes_first() {
    let visit = Visit::new().await;
    let (status, asked) = visit.read("/join", "Mozilla/5.0 (Windows NT 10.0)").await;
    assert!(status == 200 && asked.contains("name=\"code\"") && !asked.contains("<script"), "{asked}");
    let (_, chinese) = visit.read("/join?lang=zh", "").await;
    assert!(chinese.contains("lang=\"zh") && chinese.contains("九位数字"), "{chinese}");

    let code = good_code();
    let spaced = format!("{}+{}+{}", &code[..3], &code[3..6], &code[6..]);
    let (status, entered) = visit.enter(&spaced, "Mozilla/5.0 (Windows NT 10.0)").await;
    assert_eq!(status, 200, "{entered}");
    let (first, further) = entered.split_once("<details>").unwrap();
    assert!(first.contains(WINDOWS) && !first.contains(LINUX) && further.contains(LINUX), "{entered}");
    assert!(first.contains(&format!("{WINDOWS}.asc")) && entered.contains("<dd>help.example.com</dd>"), "{entered}");
    assert!(entered.contains(&format!("{} {} {}", &code[..3], &code[3..6], &code[6..])));
    let (_, entered) = visit.enter(&code, "Mozilla/5.0 (X11; Linux x86_64)").await;
    assert!(entered.contains(&format!("./belay-agent join help.example.com {code}")), "{entered}");
    // FIPS 180-2, appendix B.1.
    assert!(entered.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{entered}");
}

#[tokio::test]
async fn a_mistyped_code_is_told_and_no_code_is_told_from_another() {
    let visit = Visit::new().await;
    let mut mistyped = good_code();
    let last = if mistyped.ends_with('0') { "1" } else { "0" };
    mistyped.replace_range(8.., last);
    for (code, says) in
        [("", "nine digits"), ("12", "nine digits"), ("%3Cscript%3E", "nine digits"), (&*mistyped, "typing")]
    {
        let (status, said) = visit.enter(code, "").await;
        assert!(status == 422 && said.contains(says) && !said.contains("<script"), "{code}: {said}");
    }
    // The page does not ask the store: a live code and one that was never minted look the same but for their digits.
    let cookie = visit.world.cookie(Role::Technician).await;
    let opened = visit.world.open_ticket(&cookie).await;
    let path = format!("/api/v1/tickets/{}/invites", opened["number"].as_str().unwrap());
    let (_, invite) = visit.world.ask(post(&path, &cookie, &Value::Null)).await;
    let live: String = invite["code"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    let shown = async |code: &str| {
        let (status, said) = visit.enter(code, "").await;
        (status, said.chars().filter(|c| !c.is_ascii_digit()).collect::<String>())
    };
    assert_eq!(shown(&live).await, shown(&good_code()).await);
    // A page of another site cannot enter one.
    let request = Request::post("/join").extension(Arrival::Plain(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let request = request.header(header::HOST, "localhost:8080").header(header::ORIGIN, "https://evil.example");
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let refused = visit.world.send(request.body(format!("code={live}").into()).unwrap()).await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn everybody_gets_the_same_bytes_and_nothing_but_builds() {
    let visit = Visit::new().await;
    for browser in ["Mozilla/5.0 (Windows NT 10.0)", "curl/8.0"] {
        let mut request = get(&format!("/agents/{WINDOWS}"), "");
        request.headers_mut().insert(header::USER_AGENT, browser.parse().unwrap());
        let response = visit.world.send(request).await;
        let saved = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
        assert_eq!(saved, "attachment; filename=\"belay-agent.exe\"");
        assert_eq!(page(response).await, (200, "exe".to_owned()));
    }
    assert_eq!(visit.read(&format!("/agents/{WINDOWS}.asc"), "").await, (200, "signature".to_owned()));
    for name in ["server.key", "..%2Fserver.key", "..%2Fbelay.sqlite", "belay-agent-aarch64-apple-darwin"] {
        assert_eq!(visit.read(&format!("/agents/{name}"), "").await.0, 404, "{name}");
    }
    std::fs::remove_dir_all(&visit.agents).unwrap();
    let (status, said) = visit.read("/join", "").await;
    assert!(status == 503 && said.contains("builds_unreadable"), "{said}");
}

#[tokio::test]
async fn a_desk_without_builds_says_so() {
    let visit = Visit::new().await;
    std::fs::remove_dir_all(&visit.agents).unwrap();
    std::fs::create_dir(&visit.agents).unwrap();
    let (status, said) = visit.enter(&good_code(), "").await;
    assert!(status == 200 && said.contains("We offer no download here"), "{said}");
}
