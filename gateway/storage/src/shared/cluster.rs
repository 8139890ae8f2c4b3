//! What a node of a cluster tells of all (`CLUSTER NODES`), as far as we ask: who serves which slots.

use std::ops::RangeInclusive;

/// Slots of a cluster: each key lies in one (the cluster specification).
pub(super) const SLOTS: u16 = 16_384;

/// The nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// Masters that serve slots.
    serve: usize,
    /// The slots that they serve.
    served: Vec<RangeInclusive<u16>>,
    /// Whether there is a node that the others hold for failed.
    failed: bool,
}

impl Nodes {
    /// Reads one line a node: id, address, flags, master, two times, epoch, link, slots.
    pub(super) fn read(text: &str) -> Self {
        let mut nodes = Self::default();
        for line in text.lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let Some((flags, slots)) = words.get(2).zip(words.get(8..)) else { continue };
            let failed = flags.split(',').any(|flag| matches!(flag, "fail" | "noaddr"));
            nodes.failed |= failed;
            // What moves to or from another node stands in brackets, and is served meanwhile.
            let served: Vec<_> = slots.iter().filter_map(|slots| range(slots)).collect();
            if !failed && !served.is_empty() {
                nodes.serve += 1;
                nodes.served.extend(served);
            }
        }
        nodes
    }

    /// How many masters serve all slots; else which nobody serves.
    pub(super) fn whole(&self) -> Result<usize, String> {
        let mut served = self.served.clone();
        served.sort_unstable_by_key(|slots| *slots.start());
        let (mut next, mut nobodys) = (0, Vec::new());
        for slots in &served {
            if *slots.start() > next {
                nobodys.push(format!("{next}-{}", slots.start() - 1));
            }
            next = next.max(slots.end().saturating_add(1));
        }
        if next < SLOTS {
            nobodys.push(format!("{next}-{}", SLOTS - 1));
        }
        if nobodys.is_empty() { Ok(self.serve) } else { Err(format!("nobody serves the slots {}", nobodys.join(", "))) }
    }

    /// Whether the cluster goes on without somebody.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }
}

fn range(slots: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_nobody_serves_are_named() {
        let node = |flags: &str, slots: &str| {
            format!("07c3 127.0.0.1:7000@17000 {flags} - 0 1426238317239 4 connected {slots}\n")
        };
        let all = [
            node("myself,master", "0-5460"),
            node("master", "5461 5462-10922"),
            node("master", "10923-16383 [93->-29]"),
        ];
        assert_eq!(Nodes::read(&all.concat()).whole(), Ok(3));
        assert!(!Nodes::read(&all.concat()).has_failed());
        let replica = [all.concat(), node("slave", "")].concat();
        assert_eq!(Nodes::read(&replica).whole(), Ok(3), "a replica serves none");
        for (text, nobodys) in [
            (String::new(), "0-16383"),
            (all[1].clone(), "0-5460, 10923-16383"),
            ([node("master,fail", "0-5460"), all[1].clone(), all[2].clone()].concat(), "0-5460"),
            ([all[0].clone(), node("master", "5461-16382")].concat(), "16383-16383"),
        ] {
            assert_eq!(Nodes::read(&text).whole(), Err(format!("nobody serves the slots {nobodys}")));
        }
        assert!(Nodes::read(&[node("master,fail", ""), all[1].clone()].concat()).has_failed());
        // One that some hold for failed, and not all, is asked still.
        assert_eq!(
            Nodes::read(&[node("master,fail?", "0-5460"), all[1].clone(), all[2].clone()].concat()).whole(),
            Ok(3)
        );
    }
}
