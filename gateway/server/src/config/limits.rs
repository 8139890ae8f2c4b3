//! `[limits]`: defaults filled in, and figures refused with which the gateway could not work.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use toml::Spanned;

use super::{Limits, check::Check, shape::LimitsTable};

/// Longest time that a limit may give: a day. What lasts longer is no limit.
const DAY: u64 = 24 * 3600;

/// What `leave_seconds` is where several gateways share a database.
const LEAVE: Duration = Duration::from_secs(5);

/// The HTTP library below reads no longer heads.
const HEADER_BYTES_MAX: usize = 256 * 1024;

/// The HTTP library below reads no more fields.
const HEADERS_MAX: usize = 1_000;

impl Check<'_> {
    /// `shared`: whether other gateways may keep their state at the same place.
    pub(super) fn limits(&mut self, table: &LimitsTable, shared: bool) -> Limits {
        let leave = if shared { LEAVE } else { Duration::ZERO };
        let usual = Limits { leave, ..Limits::default() };
        Limits {
            sessions_cached: self.within(table.sessions_cached.as_ref(), 1..=u64::MAX, usual.sessions_cached),
            own_body_bytes: self.within(table.own_body_bytes.as_ref(), 16 * 1024..=usize::MAX, usual.own_body_bytes),
            leave: self.seconds(table.leave_seconds.as_ref(), 0, usual.leave),
            drain: self.seconds(table.drain_seconds.as_ref(), 0, usual.drain),
            edge: self.edge(table, &usual.edge),
        }
    }

    fn edge(&mut self, table: &LimitsTable, usual: &cardea_proxy::Limits) -> cardea_proxy::Limits {
        cardea_proxy::Limits {
            concurrency: self.within(table.in_flight.as_ref(), 1..=usize::MAX, usual.concurrency),
            reserved_percent: self.within(table.reserved_percent.as_ref(), 0..=90, usual.reserved_percent),
            client_percent: self.within(table.client_percent.as_ref(), 1..=100, usual.client_percent),
            app_percent: self.within(table.app_percent.as_ref(), 1..=100, usual.app_percent),
            tenant_percent: self.within(table.tenant_percent.as_ref(), 1..=100, usual.tenant_percent),
            connections: self.within(table.connections.as_ref(), 1..=usize::MAX, usual.connections),
            connections_per_client: self.within(
                table.connections_per_client.as_ref(),
                1..=usize::MAX,
                usual.connections_per_client,
            ),
            handshake: self.seconds(table.handshake_seconds.as_ref(), 1, usual.handshake),
            head: self.seconds(table.head_seconds.as_ref(), 1, usual.head),
            idle: self.seconds(table.idle_seconds.as_ref(), 1, usual.idle),
            stalled: self.seconds(table.stalled_seconds.as_ref(), 5, usual.stalled),
            own_body: Duration::from_secs(self.within(
                table.own_body_seconds.as_ref(),
                1..=usual.decision.as_secs(),
                usual.own_body.as_secs(),
            )),
            header_bytes: self.within(table.header_bytes.as_ref(), 8 * 1024..=HEADER_BYTES_MAX, usual.header_bytes),
            headers: self.within(table.headers.as_ref(), 32..=HEADERS_MAX, usual.headers),
            body_bytes: self.within(table.body_bytes.as_ref(), 1..=u64::MAX, usual.body_bytes),
            body_rate: self.within(table.body_bytes_per_second.as_ref(), 0..=u32::MAX, usual.body_rate),
            body_grace: self.seconds(table.body_grace_seconds.as_ref(), 1, usual.body_grace),
            http2_streams: self.within(table.http2_streams.as_ref(), 1..=10_000, usual.http2_streams),
            http2_resets: self.within(table.http2_resets.as_ref(), 10..=u32::MAX, usual.http2_resets),
            http2_idle_frames: self.within(table.http2_idle_frames.as_ref(), 100..=u32::MAX, usual.http2_idle_frames),
            ..usual.clone()
        }
    }

    fn seconds(&mut self, given: Option<&Spanned<u64>>, least: u64, usual: Duration) -> Duration {
        Duration::from_secs(self.within(given, least..=DAY, usual.as_secs()))
    }

    fn within<N: Copy + PartialOrd + Display>(
        &mut self,
        given: Option<&Spanned<N>>,
        fine: RangeInclusive<N>,
        usual: N,
    ) -> N {
        let Some(given) = given else { return usual };
        let (value, least, most) = (*given.get_ref(), fine.start(), fine.end());
        if value < *least {
            let help = format!("use at least {least}; {usual} is usual");
            self.wrong(given, format!("`{value}` is too small a limit"), &help);
        } else if value > *most {
            let help = format!("use at most {most}; {usual} is usual");
            self.wrong(given, format!("`{value}` is too large a limit"), &help);
        }
        value
    }
}
