//! Letters for which there is no room.

use cardea_core::Language;
use cardea_identity::factors::email;

use super::*;
use crate::mail::{CodeWanted, Notice, Wanted};

#[tokio::test]
async fn a_letter_that_is_dropped_is_an_entry() {
    let stage = Stage::configured("[mail]\nfrom = \"no-reply@acme.example\"\nfolder = \"letters\"\n", None).await;
    let code = |email: &str| {
        Wanted::Code(Box::new(CodeWanted {
            tenant: stage.tenant.clone(),
            email: Email::parse(email).unwrap(),
            code: email::draw(stage.house.now(), &*stage.house.entropy).0,
            language: Language::English,
            invited: false,
            by: Doer::gateway(),
        }))
    };
    // Nobody delivers here. A thousand wait, none of them a code, which would make room for a notice.
    for _ in 0..1_000 {
        stage.house.notify(&stage.tenant, subject(&stage.user), Notice::RecoveryMade);
    }
    let before = stage.events().await.len();
    stage.house.notify(&stage.tenant, subject(&stage.user), Notice::RecoveryMade);
    stage.house.send_letter(code("ada@acme.example"));
    stage.house.log.flush().await.unwrap();
    let page =
        stage.house.store.log(Some(&stage.tenant), &LogQuery { limit: 99, ..LogQuery::default() }).await.unwrap();
    let told: Vec<_> = page.items.iter().map(|one| String::from_utf8(one.body.clone()).unwrap()).collect();
    assert_eq!(told.len(), before + 2, "{told:?}");
    for (kind, whom) in [("mail-failed", stage.user.email.as_str()), ("sign-in-refused", "ada@acme.example")] {
        let entry = told.iter().find(|one| one.contains(kind)).unwrap();
        assert!(entry.contains(whom) && entry.contains("too many letters wait"), "{entry}");
    }
    stage.strike().await;
}
