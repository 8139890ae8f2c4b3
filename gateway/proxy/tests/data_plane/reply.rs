//! An answer as it came back.

/// What came back, as text.
#[derive(Debug, Clone)]
pub(crate) struct Reply(pub(crate) String);

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.0.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status: {:?}", self.0))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n")?;
        head.lines().find_map(|line| {
            line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let head = self.0.split_once("\r\n\r\n").map_or("", |(head, _)| head);
        let pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The reason in problem details.
    pub(crate) fn reason(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_str(self.body()).ok()?;
        assert_eq!(problem["status"], self.status());
        assert_eq!(problem["request_id"], self.header("x-request-id")?);
        problem["reason"].as_str().map(str::to_owned)
    }
}
