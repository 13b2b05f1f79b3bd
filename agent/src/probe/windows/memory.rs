//! Memory, what was promised of it, and page files.

use belay_protocol::report::{Commit, Overcommit, Swap, Why, WhyKind};

/// What GetPerformanceInfo counts, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Performance {
    /// Promised.
    pub committed_pages: u64,
    /// What may be promised.
    pub limit_pages: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
}

/// Pages of one page file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageFile {
    /// All of them.
    pub size_pages: u64,
    /// Taken.
    pub used_pages: u64,
}

/// Windows promises no more than it has: at the limit programs get no memory.
pub fn parse_commit(counted: &Performance) -> Result<Commit, Why> {
    let bytes = |pages: u64| pages.checked_mul(counted.page_bytes).filter(|bytes| *bytes > 0);
    match (bytes(counted.committed_pages), bytes(counted.limit_pages)) {
        (Some(committed), Some(limit)) => Ok(Commit::count(committed, limit, Overcommit::Never)),
        _ => Err(Why::new(WhyKind::Malformed, "GetPerformanceInfo")),
    }
}

/// All page files together.
pub fn parse_swap(files: &[PageFile], page_bytes: u64) -> Result<Swap, Why> {
    let sum = |of: fn(&PageFile) -> u64| {
        let pages = files.iter().try_fold(0u64, |sum, file| sum.checked_add(of(file)))?;
        pages.checked_mul(page_bytes)
    };
    let (size, used) = (sum(|file| file.size_pages), sum(|file| file.used_pages));
    let swap = size.zip(used).and_then(|(size, used)| Swap::count(size, size.checked_sub(used)?));
    swap.ok_or_else(|| Why::new(WhyKind::Malformed, "EnumPageFiles"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_counted_in_pages() {
        let commit = parse_commit(&Performance { committed_pages: 90, limit_pages: 100, page_bytes: 4_096 }).unwrap();
        assert_eq!((commit.used_percent, commit.limit_bytes, commit.policy), (90.0, 409_600, Overcommit::Never));
        assert_eq!(parse_commit(&Performance::default()).unwrap_err().kind, WhyKind::Malformed);
    }

    #[test]
    fn page_files_are_added_and_none_is_no_swap() {
        let files = [PageFile { size_pages: 100, used_pages: 25 }, PageFile { size_pages: 100, used_pages: 0 }];
        let swap = parse_swap(&files, 4_096).unwrap();
        assert_eq!((swap.total_bytes, swap.used_percent), (819_200, 12.5));
        assert_eq!(parse_swap(&[], 4_096).unwrap().total_bytes, 0);
        assert!(parse_swap(&[PageFile { size_pages: 1, used_pages: 2 }], 4_096).is_err());
        assert!(parse_swap(&[PageFile { size_pages: u64::MAX, used_pages: 0 }], 4_096).is_err());
    }

    proptest::proptest! {
        #[test]
        fn parsing_anything_never_panics(pages: [u64; 2], page_bytes: u64, files: Vec<(u64, u64)>) {
            let [committed_pages, limit_pages] = pages;
            let _ = parse_commit(&Performance { committed_pages, limit_pages, page_bytes });
            let files: Vec<_> =
                files.into_iter().map(|(size_pages, used_pages)| PageFile { size_pages, used_pages }).collect();
            let _ = parse_swap(&files, page_bytes);
        }
    }
}
