//! Tenants and people, made on first start. Each step may be made again: a crash in between costs nothing.

use std::sync::Arc;

use anyhow::Context as _;
use cardea_audit::Event;
use cardea_core::{FactorId, Secret, UserId};
use cardea_demo::seed::{self, Person, Places};
use cardea_identity::{
    Email, Factor, FactorData, Status, User,
    factors::{password, totp::Seed},
};
use cardea_storage::{Inserted, Plan};

use super::place::Place;
use crate::{
    House,
    commands::{Failure, apply},
    house::{Doer, subject},
};

/// Makes what is missing.
pub(super) async fn seed(house: &Arc<House>, place: &Place, places: &Places) -> Result<(), Failure> {
    let wanted = seed::bundle(places)?;
    for (path, text) in seed::files(places) {
        let path = place.dir.join("resources").join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("`{}` cannot be made", parent.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    let before = house.store.legible().await.map_err(anyhow::Error::from)?;
    let plan = Plan::between(before, &wanted);
    if !plan.is_empty() {
        apply::apply(house, &plan, &wanted, "what the demonstration begins with").await?;
    }
    for person in place.people.iter().filter(|person| !person.at_provider) {
        add(house, person).await?;
    }
    Ok(())
}

async fn add(house: &Arc<House>, person: &Person) -> Result<(), Failure> {
    let email = Email::parse(&person.email).map_err(anyhow::Error::from)?;
    let now = house.now();
    let user = User {
        id: UserId::mint(now, &*house.entropy),
        tenant: person.tenant.clone(),
        email: email.clone(),
        name: person.name.clone(),
        status: Status::Active,
        groups: person.groups.clone(),
        created: now,
        changed: now,
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    };
    let user = match house.store.insert_user(&user).await.map_err(anyhow::Error::from)? {
        Inserted::Done => {
            let event = Event::UserJoined { user: subject(&user), provider: None };
            house.record(&person.tenant, &Doer::operator(), event).await.map_err(anyhow::Error::from)?;
            user
        }
        Inserted::EmailTaken | Inserted::IdUsed => {
            let known = house.store.user_by_email(&person.tenant, &email).await.map_err(anyhow::Error::from)?;
            known.with_context(|| format!("`{email}` is neither new nor known"))?
        }
    };
    if house.store.factors(&person.tenant, user.id).await.map_err(anyhow::Error::from)?.is_empty() {
        for (name, id, data) in factors(house, person).await? {
            let factor = Factor { id, name, data, created: now, last_used: None };
            house.store.insert_factor(&person.tenant, user.id, &factor).await.map_err(anyhow::Error::from)?;
        }
    }
    Ok(())
}

async fn factors(house: &Arc<House>, person: &Person) -> anyhow::Result<Vec<(String, FactorId, FactorData)>> {
    let mint = || FactorId::mint(house.now(), &*house.entropy);
    let (secret, entropy) = (Secret::new(person.password.clone()), Arc::clone(&house.entropy));
    let phc = tokio::task::spawn_blocking(move || password::hash(&secret, &*entropy)).await??;
    let mut factors = vec![("Password".to_owned(), mint(), FactorData::Password { phc })];
    if let Some(text) = &person.totp {
        let id = mint();
        let seed = Seed::from_base32(text).context("a one-time-code secret of the demonstration is not base32")?;
        let secret = seed.seal(id, &house.sealer(&person.tenant).await?, &*house.entropy)?;
        factors.push(("Authenticator app".to_owned(), id, FactorData::Totp { secret, last_step: None }));
    }
    Ok(factors)
}
