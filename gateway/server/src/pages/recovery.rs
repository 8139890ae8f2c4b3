//! Recovery codes: typing one, and the page that shows a new set, once.

use askama::Template;

use super::{Carried, Look, Person, Problem, page};

/// `GET /sign-in/recovery`; its form posts `recovery` to `/sign-in/recovery`.
#[derive(Debug, Template)]
#[template(path = "recovery.html")]
pub struct Recovery<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who signs in.
    pub email: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the form sends along.
    pub carried: Carried<'a>,
    /// Where "not you?" leads; none for who is signed in.
    pub back: Option<&'a str>,
    /// Where the other ways are, if there are any.
    pub other: Option<&'a str>,
}
page!(Recovery, problem);

/// `GET /factors/recovery`; its form posts `kept` (and the carried fields) to `/factors/recovery`.
#[derive(Template)]
#[template(path = "enrol-recovery.html")]
pub struct EnrolRecovery<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The codes, as they are read.
    pub codes: &'a [String],
    /// Whether they take the place of others.
    pub replaces: bool,
    /// Hidden fields that the form sends along.
    pub carried: Carried<'a>,
    /// Where "not now" leads.
    pub back: &'a str,
}
page!(EnrolRecovery);

impl EnrolRecovery<'_> {
    /// The codes as a file to be saved, in the link itself: no script makes it, and no other request shows them again.
    fn file(&self) -> String {
        let head = format!("{}\n{}\n{}\n", self.look.w.factors.recovery, self.look.name, self.person.email);
        let text = format!("{head}\n{}\n", self.codes.join("\n"));
        // A browser reads `+` in such a link as a plus sign, not as a space.
        let text = url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        format!("data:text/plain;charset=utf-8,{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_codes_and_whose_they_are() {
        let look = Look::new("North & Sons", None, &[]);
        let codes = ["0123-4567-89AB-CDEF".to_owned(), "FEDC-BA98-7654-3210".to_owned()];
        let person = Person { name: "Ada", email: "ada+1@north.example" };
        let page = EnrolRecovery { look: &look, person, codes: &codes, replaces: false, carried: &[], back: "/" };
        let file = page.file();
        let text = file.strip_prefix("data:text/plain;charset=utf-8,").unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-._*".contains(&byte)), "{text}");
        let read = url::form_urlencoded::parse(format!("text={text}").as_bytes()).next().unwrap().1.into_owned();
        assert_eq!(
            read,
            "Recovery codes\nNorth & Sons\nada+1@north.example\n\n0123-4567-89AB-CDEF\nFEDC-BA98-7654-3210\n"
        );
    }
}
