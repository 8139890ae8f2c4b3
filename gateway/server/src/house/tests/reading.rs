//! Looking makes nothing: no key, no certificate, no entry, and no file.

use super::{
    changes::{add, north, tenant_reaching},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_or_invites_issues_no_certificate() {
    let stage = Stage::set().await;
    let config = || {
        let text = "[state]\ndir = \"looked\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n\
                    [machines]\naddress = \"127.0.0.1:0\"\n";
        Config::parse("cardea.toml", text, &stage.folder, stage.clock.now()).unwrap()
    };
    Reading::open(&config(), stage.house.now()).await.unwrap_err();
    assert!(!config().state_dir.exists(), "looking made the state folder");

    let clock = || Arc::clone(&stage.clock) as Arc<dyn Clock>;
    let house = House::unprepared(config(), clock(), Arc::clone(&stage.house.entropy)).await.unwrap();
    apply(&house, "").await;
    // Reached over mTLS, for which whoever looks has no certificate; and under roots that are not read.
    add(&house, tenant_reaching("north", "spiffe_id = \"spiffe://north.cardea.internal/service/files\"")).await;
    add(&house, tenant_reaching("south", "ca_file = \"none.pem\"")).await;
    house.close().await;
    let (key, aside) = (config().operator_key(), config().state_dir.join("aside"));
    std::fs::rename(&key, &aside).unwrap();
    let reading = Reading::open(&config(), stage.house.now()).await.unwrap();
    assert!(reading.state.behind.is_empty(), "{}", reading.state.mistakes());
    assert!(reading.state.tenants.contains_key(&stage.tenant) && reading.state.tenants.contains_key(&north()));
    assert!(!key.exists(), "looking made a key");
    let lost = House::unprepared(config(), clock(), Arc::clone(&stage.house.entropy)).await.err().unwrap().to_string();
    assert!(lost.contains("put it back") && !key.exists(), "another key was made for what is sealed: {lost}");
    std::fs::rename(&aside, &key).unwrap();

    let house = House::open_to_change(config(), clock(), Arc::clone(&stage.house.entropy)).await.unwrap();
    let tenant = house.tenant(&stage.tenant).unwrap();
    let email = Email::parse("eve@acme.example").unwrap();
    house.invite_user(&tenant, email, "Eve", &[], &Doer::operator()).await.unwrap();
    for store in [&reading.store, &house.store] {
        assert_eq!(store.certificates(&stage.tenant, None, stage.house.now()).await.unwrap(), []);
        assert!(store.keys(&stage.tenant, stage.house.now()).await.unwrap().is_empty());
        assert!(store.sealed(None, "ca-root").await.unwrap().is_empty());
    }
    house.close().await;
    stage.strike().await;
}
