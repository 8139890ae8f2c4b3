//! Letters for which there is no room, and codes that are nobody's.

use cardea_core::{Language, ProviderId};
use cardea_identity::{Had, LinkedIdentity, factors::email};
use cardea_storage::Linked;

use super::*;
use crate::mail::{self, CodeWanted, Notice, Wanted};

const MAIL: &str = "[mail]\nfrom = \"no-reply@acme.example\"\nfolder = \"letters\"\n";

/// A code for whoever has that address.
fn code(stage: &Stage, email: &str) -> Wanted {
    Wanted::Code(Box::new(CodeWanted {
        tenant: stage.tenant.clone(),
        email: Email::parse(email).unwrap(),
        code: email::draw(stage.house.now(), &*stage.house.entropy).0,
        language: Language::English,
        invited: false,
        by: Doer::gateway(),
    }))
}

/// The entries, oldest first, as they are kept.
async fn entries(stage: &Stage) -> Vec<String> {
    stage.house.log.flush().await.unwrap();
    let query = LogQuery { limit: 99, ..LogQuery::default() };
    let page = stage.house.store.log(Some(&stage.tenant), &query).await.unwrap();
    page.items.iter().rev().map(|one| String::from_utf8(one.body.clone()).unwrap()).collect()
}

#[tokio::test]
async fn a_letter_that_is_dropped_is_an_entry() {
    let stage = Stage::configured(MAIL, None).await;
    // Nobody delivers here. A thousand wait, none of them a code, which would make room for a notice.
    for _ in 0..1_000 {
        stage.house.notify(&stage.tenant, subject(&stage.user), Notice::RecoveryMade);
    }
    let before = stage.events().await.len();
    stage.house.notify(&stage.tenant, subject(&stage.user), Notice::RecoveryMade);
    stage.house.send_letter(code(&stage, "ada@acme.example"));
    let told = entries(&stage).await;
    assert_eq!(told.len(), before + 2, "{told:?}");
    for (kind, whom) in [("mail-failed", stage.user.email.as_str()), ("sign-in-refused", "ada@acme.example")] {
        let entry = told.iter().find(|one| one.contains(kind)).unwrap();
        assert!(entry.contains(whom) && entry.contains("too many letters wait"), "{entry}");
    }
    stage.strike().await;
}

/// Whoever the provider has shut out, or we have, is let in by no mailbox; of whom it is the provider's to say, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_to_nobody_who_may_not_come_in_by_it() {
    let stage = Stage::configured(MAIL, None).await;
    let (house, tenant, now) = (&stage.house, &stage.tenant, stage.house.now());
    let provider = ProviderId::parse("work").unwrap();
    let text = "id = \"work\"\nname = \"W\"\nissuer = \"https://idp.example\"\nclient_id = \"cardea\"\nlink = true\n";
    let before = house.store.bundle().await.unwrap();
    let mut wanted = before.clone();
    wanted.tenants.get_mut(tenant).unwrap().providers.insert(provider.clone(), toml::from_str(text).unwrap());
    let hash = |_: &TenantId, _: &PolicySet| String::new();
    let with = Applying { author: "operator", note: "", hash: &hash, now };
    house.store.apply(&Plan::between(before, &wanted), &with).await.unwrap();
    house.load_state().await.unwrap();
    let account = |subject: &str| LinkedIdentity {
        provider: provider.clone(),
        issuer: "https://idp.example".to_owned(),
        subject: subject.to_owned(),
    };
    let (brought, shut_out) = (Some("a provider signs this person in"), Some("this person may not sign in"));
    for (who, comes_by, off, status, refused) in [
        ("plain", None, false, Status::Active, None),
        ("suspended", None, false, Status::Suspended, shut_out),
        ("brought", Some("provider"), false, Status::Active, brought),
        ("disabled", Some("provider"), true, Status::Active, brought),
        // What they linked themselves is one way in beside others.
        ("linked", Some("person"), false, Status::Active, None),
        ("unlucky", Some("person"), true, Status::Active, None),
    ] {
        let id = UserId::mint(now, &*house.entropy);
        let email = Email::parse(&format!("{who}@acme.example")).unwrap();
        house.store.insert_user(&User { id, email, ..stage.user.clone() }).await.unwrap();
        let (own, had) = (account(who), Had::default());
        let linked = match comes_by {
            Some("provider") => house.store.link_identity(tenant, id, &own, now).await.unwrap(),
            Some(_) => house.store.link_own_identity(tenant, id, &own, &had, now).await.unwrap(),
            None => Linked::Done,
        };
        assert_eq!(linked, Linked::Done, "{who}");
        if off {
            house.store.turn_identity(tenant, id, &own, Some(now), now).await.unwrap();
        }
        house.store.set_status(tenant, id, Status::Active, status, now).await.unwrap();
        let before = entries(&stage).await.len();
        house.send_letter(code(&stage, &format!("{who}@acme.example")));
        mail::finish(house).await;
        let told = entries(&stage).await;
        let [entry] = &told[before..] else { panic!("{who}: {:?}", &told[before..]) };
        assert!(entry.contains(refused.map_or("mail-sent", |_| "sign-in-refused")), "{who}: {entry}");
        assert!(entry.contains(refused.unwrap_or_default()), "{who}: {entry}");
        let letters: Vec<_> = std::fs::read_dir(stage.folder.join("letters")).into_iter().flatten().collect();
        let to = format!("To: {who}@acme.example");
        let has_come =
            letters.iter().any(|file| std::fs::read_to_string(file.as_ref().unwrap().path()).unwrap().contains(&to));
        assert_eq!(has_come, refused.is_none(), "{who}");
    }
    stage.strike().await;
}
