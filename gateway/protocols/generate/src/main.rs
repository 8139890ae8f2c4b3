//! Makes Rust code of the protocols beside this folder. Needs no `protoc`.

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let protocols = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = protocols.join("../server/src/ext_authz/generated");
    std::fs::create_dir_all(&out)?;
    let files = protox::compile(["envoy/service/auth/v3/external_auth.proto"], [&protocols])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(&out)
        .include_file("mod.rs")
        .compile_fds(files)?;
    println!("written to {}", out.display());
    Ok(())
}
