//! The web front end of the console as bytes: what Vite made of the TypeScript beside this file, embedded at build time.
//!
//! `build.rs` runs npm; nothing of what it makes lies in the source tree except `node_modules`.

/// One file of the front end.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path without a leading slash, such as `index.html`.
    pub path: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Its media type, with the charset where there is one.
    pub content_type: &'static str,
    /// Its entity tag with quotes: a hash of the content.
    pub etag: &'static str,
    /// Whether its name contains the hash of its content, so that it may be kept for ever.
    pub immutable: bool,
}

/// The file at `path`, which has no leading slash. The page itself is `index.html`.
pub fn asset(path: &str) -> Option<&'static Asset> {
    // The generated table is sorted by path.
    ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok().map(|at| &ASSETS[at])
}

/// Every file, by path.
pub fn assets() -> &'static [Asset] {
    ASSETS
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_path_and_nothing_else_is() {
        for known in assets() {
            assert_eq!(asset(known.path).map(|found| found.etag), Some(known.etag), "{}", known.path);
        }
        for path in ["", "/index.html", "index.htm", "../Cargo.toml", "assets/"] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_page_has_nothing_inline_and_names_only_files_that_are_here() {
        let page = asset("index.html").expect("the front end has a page");
        assert_eq!((page.content_type, page.immutable), ("text/html; charset=utf-8", false));
        let html = std::str::from_utf8(page.bytes).expect("the page is UTF-8");
        assert!(!html.contains("<style") && !html.contains("style=") && !html.contains(" on"), "{html}");
        for tag in html.split("<script").skip(1) {
            let (attributes, rest) = tag.split_once('>').expect("a tag ends");
            assert!(attributes.contains("src=\"/") && rest.starts_with("</script>"), "{tag}");
        }
        let named = html.split(['"', '\'']).filter(|text| text.starts_with('/') && text.contains('.'));
        let named: Vec<&str> = named.map(|path| &path[1..]).collect();
        assert!(named.len() >= 3, "{html}");
        assert!(named.iter().all(|path| asset(path).is_some()), "{named:?}");
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for asset in assets() {
            assert_eq!(asset.immutable, asset.path.starts_with("assets/"), "{}", asset.path);
        }
        assert!(assets().iter().any(|asset| asset.immutable && asset.content_type.starts_with("text/javascript")));
        assert!(assets().iter().any(|asset| asset.immutable && asset.content_type.starts_with("text/css")));
    }
}
