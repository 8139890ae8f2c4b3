//! Finds a form in a page of ours and what it sends unasked. Reads the plain HTML that our templates make, no more.

/// A form as a browser would send it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it goes; the page itself where absent.
    pub action: Option<String>,
    /// Its hidden fields.
    pub hidden: Vec<(String, String)>,
}

/// The first form that has a field or button named `field` (any form where that is empty).
pub fn find(page: &str, field: &str) -> Option<Form> {
    page.split("<form").skip(1).find_map(|rest| {
        let (head, after) = rest.split_once('>')?;
        let inside = after.split("</form").next()?;
        let tags = || inside.split('<').skip(1).filter_map(|tag| tag.split('>').next());
        if !field.is_empty() && !tags().any(|tag| attribute(tag, "name").as_deref() == Some(field)) {
            return None;
        }
        let hidden = tags()
            .filter(|tag| tag.starts_with("input") && attribute(tag, "type").as_deref() == Some("hidden"))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect();
        Some(Form { action: attribute(head, "action"), hidden })
    })
}

/// The address of the first link that starts with `prefix`.
pub fn link(page: &str, prefix: &str) -> Option<String> {
    let hrefs = page.split("<a").skip(1).filter_map(|rest| attribute(rest.split('>').next()?, "href"));
    hrefs.into_iter().find(|href| href.starts_with(prefix))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.match_indices(name).find(|(at, _)| {
        tag[..*at].ends_with(char::is_whitespace) && tag[at + name.len()..].trim_start().starts_with('=')
    })?;
    let value = tag[at.0 + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let value = value.strip_prefix('"')?.split('"').next()?;
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    [
        ("&#38;", "&"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_with_the_field_is_found_with_its_hidden_values() {
        let page = r#"<form action="/a"><input name="x"></form><form method="post" action="/b?c=1&amp;d=2">
            <input type="hidden" name="to" value="/&lt;z"><input name="email" type="email"></form>"#;
        let form = find(page, "email").unwrap();
        assert_eq!(form.action.as_deref(), Some("/b?c=1&d=2"));
        assert_eq!(form.hidden, [("to".to_owned(), "/<z".to_owned())]);
        assert_eq!(find(page, "password"), None);
    }
}
