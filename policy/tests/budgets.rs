//! What is too much for one set is refused with its place and a way out, whatever it would do to whoever reads it; what
//! is at the limit works, in an unoptimised build and on a thread with a small stack too.

#![allow(clippy::panic, reason = "a story that cannot go on stops where it stands")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use cardea_core::{Caller, Diagnostic, Timestamp, resources::PolicyText};
use cardea_policy::{Engine, Facts, PATH_BYTES, Principal, Question, Sources, Verdict, built_in, format, run_tests};

fn file(text: String) -> Vec<PolicyText> {
    vec![PolicyText { name: "one".to_owned(), text }]
}

fn when(expr: &str) -> Vec<PolicyText> {
    file(format!("permit(principal, action, resource)\nwhen {{ {expr} }};"))
}

fn around(open: &str, inner: &str, close: &str, times: usize) -> Vec<PolicyText> {
    when(&format!("{}{inner}{}", open.repeat(times), close.repeat(times)))
}

fn mistakes(policies: &[PolicyText]) -> Vec<Diagnostic> {
    Engine::check(&Sources { policies, ..Sources::default() }).0
}

fn refused(policies: &[PolicyText], says: &str) -> Diagnostic {
    let found = mistakes(policies);
    let one = found.iter().find(|one| one.message.contains(says)).cloned();
    one.unwrap_or_else(|| panic!("wanted `{says}`, got {:?}", found.iter().take(3).collect::<Vec<_>>()))
}

/// On a thread as the gateway's are, which have 16 MiB.
fn decided(policies: Vec<PolicyText>) -> Verdict {
    let ask = move || {
        // Guard-rails decide for the portal, where the built-in policies permit whoever is signed in.
        let forbid = |one: PolicyText| PolicyText { text: one.text.replace("permit", "forbid"), ..one };
        let guard_rails: Vec<_> = policies.into_iter().map(forbid).collect();
        let engine = Engine::compile(&Sources { guard_rails: &guard_rails, ..Sources::default() }).unwrap();
        let target = engine.app(&built_in::portal()).unwrap().locate("GET", "/").unwrap();
        let principal = Principal::of(&Caller::Visitor);
        let facts = Facts::visitor(Timestamp::from_secs(0), [127, 0, 0, 1].into(), "GET", "acme.localhost", "/");
        engine.decide(&Question { principal: &principal, target: &target, facts })
    };
    std::thread::Builder::new().stack_size(16 * 1024 * 1024).spawn(ask).unwrap().join().unwrap()
}

#[test]
fn what_is_as_deep_as_may_be_is_read_and_decides() {
    // One bracket is the `when`'s own.
    let fine = [
        around("(", "true", ")", 23),
        around("!!(", "true", ")", 23),
        around("(false || context.assurance < 9 && (", "true", "))", 11),
        around("if context.assurance > 9 then false else ", "true", "", 45),
        around("if true then ", "true", " else false", 70),
        around("if ", "true", " then true else false", 70),
        when(&format!("true{}", " && context.assurance < 9".repeat(95))),
        when(&format!("false{} || true", " || context.assurance > 9".repeat(95))),
        when(&format!("context.assurance{} < 9000", " + 1".repeat(290))),
        when(&format!(
            "[{}].contains(context.assurance)",
            (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
        )),
        file(format!("permit(principal, action, resource){};", " when { true }".repeat(290))),
    ];
    for (nth, policies) in fine.into_iter().enumerate() {
        assert_eq!(mistakes(&policies), [], "row {nth}");
        let verdict = decided(policies);
        assert_eq!(verdict.errors, [], "row {nth}");
        assert_eq!(verdict.determined_by, ["guard-rail/one#1".into()], "row {nth}");
    }
}

#[test]
fn what_is_deeper_is_refused_before_it_is_parsed() {
    for times in [24, 200, 10_000] {
        for (open, inner, close) in [
            ("(", "true", ")"),
            ("!(", "true", ")"),
            ("[", "true", "]"),
            ("{a:", "true", "}"),
            ("{\"a\":", "true", "}"),
            ("ip(", "\"::1\"", ")"),
            ("context.factors.contains(", "1", ")"),
            ("context[", "1", "]"),
            ("if (", "true", ") then true else true"),
            // What hides brackets from a hasty reader.
            ("( // )\n", "true", ")"),
            ("( // )\r", "true", ")"),
            ("(\")\\\")\" == \"\" || ", "true", ")"),
            ("(", "true", ""),
            ("(]}", "true", ""),
            ("(;", "true", ""),
        ] {
            if let (true, Some(one)) = (times == 24, mistakes(&around(open, inner, close, 23)).first()) {
                assert!(!one.message.contains("deep"), "`{open}`: {one}");
            }
            let found = mistakes(&around(open, inner, close, times));
            let one = found.first().unwrap();
            let fits = one.message == "brackets stand more than 24 deep" || one.message == "this bracket is not closed";
            assert!(fits && found.len() == 1 && one.line >= Some(2) && one.help.is_some(), "`{open}`: {one}");
        }
    }
    let one = refused(&around("(", "true", ")", 24), "brackets stand more than 24 deep");
    assert_eq!((one.source.as_str(), one.line, one.column), ("policies/one.cedar", Some(2), Some(31)));
}

#[test]
fn what_hangs_together_too_long_is_refused_before_it_is_parsed() {
    for chain in [
        " && true",
        " || true",
        " + 1",
        " - 1",
        " * 1",
        " == 1",
        " < 1",
        " in a",
        ".a",
        ".then",
        ".in",
        ".if",
        "[\"a\"]",
        "[1]",
        ".a(1)",
        " has a",
        " like \"a\"",
        " is A",
    ] {
        refused(&when(&format!("true{}", chain.repeat(301))), "more than 300 operators hang together");
    }
    for before in ["if true then true else ", "if true then ", "if ", "!", "-"] {
        refused(&when(&format!("{}true", before.repeat(301))), "more than 300 operators hang together");
    }
    refused(
        &file(format!("permit(principal, action, resource){};", " when { true }".repeat(301))),
        "more than 300 operators hang together",
    );
    // Chains within brackets within chains: the sum is what counts.
    let nested = format!("{}true{}", format!("({} ", "true && ".repeat(50)).repeat(9), ")".repeat(9));
    refused(&when(&nested), "more than 300 operators hang together");
}

#[test]
fn a_bracket_left_open_is_named_and_not_what_follows_it() {
    let rest = "permit(principal, action, resource) when { context.assurance > 1 };\n".repeat(500);
    let one = refused(&file(format!("permit(principal, action, resource) when {{ (true }};\n{rest}")), "is not closed");
    assert_eq!((one.line, one.column), (Some(1), Some(44)));
}

#[test]
fn one_set_has_budgets_and_each_names_the_way_out() {
    let policy = "permit(principal, action, resource);\n";
    let like = |pattern: &str| format!("context.path like \"{pattern}\"");
    let many = |text: &str, times: usize| vec![text; times].join(" || ");
    let searching =
        format!("permit(principal, action, resource) when {{ {} }};\n", like(&format!("*{}", "a".repeat(200))));
    let rows: [(Vec<PolicyText>, &str, Option<u32>); 9] = [
        (file(policy.repeat(20_001)), "more than 20000 policies", Some(20_001)),
        (file(";".repeat(1_000_000)), "more than 20000 policies", Some(1)),
        (file(format!("//{}", "x".repeat(4 * 1024 * 1024))), "longer than 4194304 bytes", None),
        (when(&format!("\"{}\" == \"\"", "x".repeat(64 * 1024))), "a policy is longer than 65536 bytes", Some(1)),
        (when(&like("*a*b*c*d*")), "more than 4 wildcards", Some(2)),
        (when(&like(&"a".repeat(257))), "longer than 256 characters", Some(2)),
        // In brackets it is a pattern all the same.
        (when("context.path like (\"*a*b*c*d*\")"), "", Some(2)),
        (when(&many(&like("/a/*"), 21)), "more than 20 patterns", Some(2)),
        (file(searching.repeat(164)), "look for more than 32768 characters", Some(164)),
    ];
    for (policies, says, line) in rows {
        let one = refused(&policies, says);
        assert_eq!(one.line, line, "{one}");
        assert!(says.is_empty() || one.help.is_some(), "{one}");
    }
    for fine in [
        when(&like("*a*b*c*")),
        when(&like(&"a".repeat(256))),
        when(&many(&like("\\*/a/*"), 20)),
        file(searching.repeat(163)),
    ] {
        assert_eq!(mistakes(&fine), []);
    }
}

#[test]
fn a_test_asks_for_no_longer_path_than_a_request_may() {
    let engine = Engine::compile(&Sources::default()).unwrap();
    let test = |length: usize| {
        let request = format!("GET /{}", "a".repeat(length - 1));
        let row = format!("name = 'long'\napp = 'cardea-portal'\nrequest = '{request}'\nexpect = 'deny'");
        run_tests(&engine, &[toml::from_str(&row).unwrap()], Timestamp::from_secs(0)).remove(0).message
    };
    assert_eq!(test(PATH_BYTES), None);
    assert_eq!(test(PATH_BYTES + 1).as_deref(), Some("the path is longer than 8192 bytes"));
}

#[test]
fn several_files_share_one_budget() {
    let text = "permit(principal, action, resource);\n".repeat(10_001);
    let two = [PolicyText { name: "a".to_owned(), text: text.clone() }, PolicyText { name: "b".to_owned(), text }];
    let one = refused(&two, "more than 20000 policies");
    assert_eq!((one.source.as_str(), one.line), ("policies/b.cedar", Some(10_000)));
}

#[test]
fn no_more_mistakes_are_told_than_anybody_reads() {
    let wrong = "permit(principal in Group::\"nobody\", action, resource) when { context.nothing };\n";
    let found = mistakes(&file(wrong.repeat(2_000)));
    assert!((100..=200).contains(&found.len()), "{} mistakes", found.len());
    let names: Vec<_> = (0..5_000).map(|nth| format!("App::\"{nth}\"")).collect();
    let found = mistakes(&when(&format!("[{}].contains(resource)", names.join(","))));
    assert!((100..=200).contains(&found.len()), "{} mistakes", found.len());
}

#[test]
fn the_editor_lays_out_no_text_that_is_too_deep() {
    let deep = around("(", "true", ")", 5_000).remove(0).text;
    assert!(format("one", &deep).unwrap_err().0[0].message.contains("more than 24 deep"));
    let fine = around("(", "true", ")", 23).remove(0).text;
    format("one", &fine).unwrap();
}
