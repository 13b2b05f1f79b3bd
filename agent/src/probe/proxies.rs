//! Settings that send programs through a proxy.

use belay_protocol::BoundedVec;
use belay_protocol::bounded::Name;
use belay_protocol::report::{Private, ProxySetting, ProxySource, Raw, Why, WhyKind};

use super::{Root, native};

/// Proxies in the environment of this program, in `/etc/environment` and in the settings of Windows.
pub fn look(root: &Root) -> Result<BoundedVec<ProxySetting<Raw>, 16>, Why> {
    let mut settings = Vec::new();
    if root.is_live() {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        settings.extend(variables.filter_map(|(name, value)| setting(ProxySource::Environment, &name, &value)));
        settings.extend(native::proxies());
    }
    match root.read(ENVIRONMENT) {
        Ok(text) => settings.extend(parse_environment(&text)),
        Err(why) if root.is_live() && matches!(why.kind, WhyKind::NotOffered | WhyKind::NotSupported) => {}
        Err(why) => return Err(why),
    }
    settings.sort_by(|a, b| a.variable.cmp(&b.variable));
    Ok(BoundedVec::truncating(settings).0)
}

const ENVIRONMENT: &str = "/etc/environment";

/// Understands environment(5) as pam_env(8) does: `NAME=VALUE`, with or without `export` and quotes.
pub fn parse_environment(text: &str) -> Vec<ProxySetting<Raw>> {
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        setting(ProxySource::EtcEnvironment, name.trim(), value.trim().trim_matches(['"', '\'']))
    };
    text.lines().filter_map(line).collect()
}

fn setting(source: ProxySource, name: &str, value: &str) -> Option<ProxySetting<Raw>> {
    let is_proxy = PROXY_NAMES.contains(&name.to_ascii_lowercase().as_str()) && !value.is_empty();
    is_proxy.then(|| found(source, name, value))
}

/// A setting that was found.
pub(crate) fn found(source: ProxySource, name: &str, value: &str) -> ProxySetting<Raw> {
    ProxySetting { source, variable: Name::truncating(name), value: Private::new(value) }
}

/// What curl(1) reads; others read the same.
const PROXY_NAMES: [&str; 5] = ["http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::tree;

    #[test]
    fn proxies_are_read_in_any_spelling_and_nothing_else_is() {
        let text = "PATH=/bin\n# http_proxy=x\nexport HTTPS_PROXY=\"http://u:p@proxy:3128\"\nno_proxy=localhost\nhttp_proxy=\n";
        let (_dir, root) = tree(&[("etc/environment", text)]);
        let settings = look(&root).unwrap();
        let seen: Vec<_> = settings.iter().map(|s| (s.variable.as_str(), s.value.reveal())).collect();
        assert_eq!(seen, [("HTTPS_PROXY", "http://u:p@proxy:3128"), ("no_proxy", "localhost")]);
        let (_dir, root) = tree(&[("proc/uptime", "")]);
        assert_eq!(look(&root).unwrap_err().kind, WhyKind::NotOffered, "the tree does not say");
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(text in ".*") {
            parse_environment(&text);
        }
    }
}
