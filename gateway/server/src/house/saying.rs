//! What a tenant says of its people beside name, address and groups.

use cardea_audit::Event;
use cardea_core::{Attributes, Diagnostic, UserId, diagnostic::nearest};

use super::{ChangeFault, Doer, House, subject};
use crate::state::TenantState;

impl TenantState {
    /// Checks that everything said is an attribute that the tenant declares, of its type.
    fn check_attributes(&self, said: &Attributes) -> Result<(), ChangeFault> {
        let kinds = &self.bundle.tenant.attributes;
        for (name, value) in said {
            let one = match kinds.get(name) {
                Some(kind) if value.fits(*kind) => continue,
                Some(kind) => Diagnostic::new("attributes", format!("the value of `{name}` does not fit"))
                    .help(format!("it is {kind}; texts have at most 256 bytes, lists 64 texts")),
                None => {
                    let one = Diagnostic::new("attributes", format!("there is no attribute `{name}`"));
                    match nearest(name, kinds.keys().map(String::as_str)) {
                        Some(near) => one.help(format!("did you mean `{near}`?")),
                        None => one.help("the tenant's `[attributes]` declare which there are"),
                    }
                }
            };
            return Err(ChangeFault::Invalid(one));
        }
        Ok(())
    }
}

impl House {
    /// Says exactly this of a person.
    pub async fn set_attributes(
        &self,
        tenant: &TenantState,
        id: UserId,
        after: Attributes,
        doer: &Doer,
    ) -> Result<(), ChangeFault> {
        tenant.check_attributes(&after)?;
        let user = self.store.user(tenant.id(), id).await?.ok_or(ChangeFault::NotFound("user"))?;
        let before = self.store.set_attributes(tenant.id(), id, &after, self.now()).await?;
        let before = before.ok_or(ChangeFault::NotFound("user"))?;
        self.forget_user(id);
        let event = Event::AttributesChanged { user: subject(&user), before, after };
        self.record(tenant.id(), doer, event).await?;
        Ok(())
    }
}
