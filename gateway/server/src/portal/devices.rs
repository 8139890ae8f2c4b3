//! `POST /sessions/devices/{id}/forget`: a remembered device is one no more, and what rests on it ends. They are listed with the
//! sessions.

use axum::{extract::Path, response::Response};
use cardea_core::{DeviceId, Reason};
use cardea_identity::{TicketHash, cookie, remembered::Remembered};

use super::visit::{Failed, Visit, see_other};
use crate::pages::{DeviceRow, when::When};

/// Forgets one of the person's own devices.
pub(super) async fn forget(visit: Visit, Path(id): Path<String>) -> Response {
    let result = forget_own(&visit, &id).await;
    visit.answer(result)
}

async fn forget_own(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let id = DeviceId::parse(id).map_err(|_| Failed::Refused(Reason::NotFound))?;
    // INVARIANT: among the person's own alone: another's id is as if it were not there.
    let (tenant, user) = (visit.tenant_id(), visit.user_id());
    let gone = visit.house.forget_devices(tenant, user, |_, known| known.id == id, ("portal", &doer)).await?;
    if gone.is_empty() {
        return Err(Failed::Refused(Reason::NotFound));
    }
    visit.house.end_what_rests_on_devices(tenant, user, &gone, (Some(visit.live.id), &doer)).await?;
    Ok(see_other("/sessions?done=forgotten"))
}

/// The person's devices as the page lists them.
pub(super) async fn rows(visit: &Visit) -> Result<Vec<DeviceRow>, Failed> {
    let here = key_here(visit);
    let devices = visit.house.devices(&visit.tenant, visit.user_id()).await?;
    Ok(devices.iter().map(|(key, device)| row(visit, device, here == Some(*key))).collect())
}

fn row(visit: &Visit, device: &Remembered, current: bool) -> DeviceRow {
    DeviceRow {
        id: device.id.to_string(),
        current,
        browser: visit.look.w.browser(&device.agent),
        address: device.client.map(|address| address.to_string()).unwrap_or_default(),
        since: When::new(device.shown, visit.now()),
        used: device.used.map(|at| When::new(at, visit.now())),
    }
}

/// The hash of the key that this browser holds.
pub(super) fn key_here(visit: &Visit) -> Option<TicketHash> {
    cookie::remembered(visit.cookies(), visit.house.is_secure()).map(|key| key.hash())
}
