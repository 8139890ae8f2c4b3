//! The texts of failures in German.

use cardea_core::Reason;

use super::super::failures::{FailureWords, say};

/// What each failure's page says. A match without a wildcard: a new reason does not compile until it has its words.
pub(super) fn failure(reason: Reason) -> FailureWords {
    match reason {
        Reason::AmbiguousFraming
        | Reason::AmbiguousPath
        | Reason::BadDescription
        | Reason::BadHeader
        | Reason::BadHost
        | Reason::DoubledParameter
        | Reason::UnknownParameter => say(
            "Diese Anfrage ist nicht lesbar",
            "Die Adresse oder die Anfrage lässt sich auf mehr als eine Weise lesen und wurde deshalb nicht weitergegeben.",
            "Gehen Sie zurück und versuchen Sie den Link noch einmal. Prüfen Sie die Adresse, falls Sie sie eingetippt haben.",
        ),
        Reason::BadInput => say(
            "Im Formular stimmt etwas nicht",
            "Was gesendet wurde, ist unvollständig oder passt nicht zu diesem Formular.",
            "Gehen Sie zurück, prüfen Sie die Felder und senden Sie es noch einmal.",
        ),
        Reason::UriTooLong => say(
            "Die Adresse ist zu lang",
            "Die aufgerufene Adresse ist länger als jede, die es hier gibt.",
            "Prüfen Sie den Link oder beginnen Sie auf der ersten Seite der App.",
        ),
        Reason::HeadersTooLarge => say(
            "Diese Anfrage ist zu groß",
            "Ihr Browser hat mit der Anfrage mehr Daten gesendet, als angenommen werden, oft wegen vieler Cookies.",
            "Löschen Sie die Cookies dieser Website und versuchen Sie es erneut.",
        ),
        Reason::BodyTooLarge => say(
            "Das ist zu groß",
            "Was Sie gesendet haben, ist größer, als hier angenommen wird.",
            "Senden Sie eine kleinere Datei oder teilen Sie sie auf.",
        ),
        Reason::TooSlow => say(
            "Das kam zu langsam an",
            "Über Ihre Verbindung kam weniger an, als hier abgewartet wird.",
            "Versuchen Sie es über eine schnellere oder stabilere Verbindung.",
        ),
        Reason::Misdirected => say(
            "Falsche Tür",
            "Ihr Browser hat eine Verbindung benutzt, die zu einer anderen Website gehört.",
            "Laden Sie die Seite neu: Ihr Browser öffnet dann eine eigene Verbindung.",
        ),
        Reason::UnknownHost => say(
            "Unter dieser Adresse gibt es keine Website",
            "Das Gateway kennt keine App mit diesem Hostnamen.",
            "Prüfen Sie die Adresse auf Tippfehler oder fragen Sie, wer Ihnen den Link gegeben hat.",
        ),
        Reason::NotFound => say(
            "Seite nicht gefunden",
            "Unter dieser Adresse gibt es nichts. Vielleicht ist die Seite umgezogen oder der Link falsch.",
            "Prüfen Sie die Adresse oder gehen Sie zu Ihren Apps.",
        ),
        Reason::MethodNotAllowed => say(
            "Das geht hier nicht",
            "Diese Adresse nimmt Anfragen dieser Art nicht an.",
            "Gehen Sie zurück und benutzen Sie die Schaltflächen der Seite.",
        ),
        Reason::Conflict => say(
            "Jemand war schneller",
            "Was Sie ändern wollten, hat sich inzwischen geändert.",
            "Gehen Sie zurück, laden Sie die Seite neu und sehen Sie noch einmal nach.",
        ),
        Reason::ProxyNotTrusted => say(
            "Das ist nur für Proxys",
            "Nur ein Proxy, den der Betreiber eingetragen hat, darf hier wegen einer Anfrage fragen.",
            "Öffnen Sie die Adresse der App selbst.",
        ),
        Reason::CrossSite => say(
            "Das kam von einer anderen Website",
            "Die Anfrage kam von einer Seite, die nicht zu dieser Website gehört, und wurde deshalb nicht ausgeführt.",
            "Wenn Sie es waren, öffnen Sie die Seite hier und wiederholen Sie es. Sonst ist nichts geschehen.",
        ),
        Reason::SignInRequired => say(
            "Melden Sie sich an",
            "{} ist nur für angemeldete Personen offen.",
            "Melden Sie sich an, dann gelangen Sie dorthin zurück, wohin Sie wollten.",
        ),
        Reason::StepUpRequired => say(
            "Identität bestätigen",
            "{} verlangt dafür einen stärkeren Nachweis.",
            "Bestätigen Sie Ihre Identität, dann gelangen Sie dorthin zurück, wohin Sie wollten.",
        ),
        Reason::Denied => say(
            "Darauf haben Sie keinen Zugriff",
            "Sie sind angemeldet, aber die Regeln von {} erlauben das für Ihr Konto nicht.",
            "Wenn Sie es für Ihre Arbeit brauchen, fragen Sie Ihre Administration und nennen Sie die Anfrage-ID unten.",
        ),
        Reason::SessionEnded => say(
            "Ihre Sitzung ist beendet",
            "Sie waren eine Weile weg, haben sich anderswo abgemeldet, oder Ihre Administration hat die Sitzung beendet.",
            "Melden Sie sich neu an, dann gelangen Sie dorthin zurück, wohin Sie wollten.",
        ),
        Reason::TokenRefused | Reason::ProofRefused => say(
            "Das Token des Programms gilt hier nicht",
            "Es ist zu alt, wurde zurückgenommen, ist für eine andere App oder gehört nicht diesem Programm.",
            "Melden Sie sich mit dem Programm neu an. Hilft das nicht, nennen Sie die Anfrage-ID unten.",
        ),
        Reason::InsufficientScope => say(
            "Das Programm darf das nicht",
            "Sein Token reicht nicht für das, was es wollte.",
            "Lassen Sie das Programm um mehr bitten, und stimmen Sie zu, wenn Sie gefragt werden.",
        ),
        Reason::UserSuspended => say(
            "Ihr Konto ist gesperrt",
            "Ihre Administration hat Ihren Zugang ausgesetzt. Es ist nichts verloren.",
            "Fragen Sie Ihre Administration und nennen Sie die Anfrage-ID unten.",
        ),
        Reason::FactorRejected => say(
            "Das hat nicht geklappt",
            "Ihre Angaben ließen sich nicht bestätigen.",
            "Gehen Sie zurück und versuchen Sie es erneut oder nutzen Sie eine andere Methode.",
        ),
        Reason::FactorNotAllowed => say(
            "Diese Anmeldemethode ist nicht erlaubt",
            "Ihre Organisation hat sie abgeschaltet.",
            "Gehen Sie zurück und wählen Sie eine andere Methode.",
        ),
        Reason::WordTooWeak => say(
            "Diese Anmeldung war nicht stark genug",
            "Ihr Anmeldedienst kennt Sie, aber was er von Ihrer Anmeldung dort sagt, ist weniger, als hier verlangt wird.",
            "Bestätigen Sie es mit einer anderen Ihrer Anmeldemethoden oder fügen Sie eine hinzu. Geht das nicht, fragen Sie Ihre Administration.",
        ),
        Reason::LinkRequired => say(
            "Dafür brauchen Sie einen Link Ihrer Administration",
            "Sie haben bisher eine einzige Anmeldemethode. Wer sie gestohlen hätte, könnte damit genauso gut eine eigene hinzufügen; darum reicht sie allein dafür nicht.",
            "Bitten Sie Ihre Administration um einen Link. Damit melden Sie sich wie gewohnt an und fügen hinzu, was Sie möchten.",
        ),
        Reason::SecondFactorRequired => say(
            "Zuerst brauchen Sie einen zweiten Faktor",
            "Ihre Organisation verlangt eine zweite Anmeldemethode, und Sie haben bisher eine.",
            "Fügen Sie jetzt eine hinzu: Die Seite Ihrer Faktoren sagt, was es dazu braucht. Danach steht Ihnen alles offen wie zuvor.",
        ),
        Reason::TooManyAttempts => say(
            "Zu viele Versuche",
            "Es waren mehr Versuche, als für eine Person üblich ist, deshalb gibt es eine kurze Pause.",
            "Warten Sie ein wenig, dann versuchen Sie es erneut.",
        ),
        Reason::TooManyRequests => say(
            "Zu viel auf einmal",
            "Es wurde gleichzeitig mehr abgerufen, als einer Person oder einem Netz zusteht.",
            "Warten Sie, bis das Übrige geladen ist, dann versuchen Sie es erneut.",
        ),
        Reason::RateLimited => say(
            "Zu viele Anfragen",
            "In kurzer Zeit wurde mehr abgerufen, als dieser Dienst zulässt.",
            "Warten Sie einen Moment, dann versuchen Sie es erneut.",
        ),
        Reason::SignInExpired => say(
            "Diese Anmeldung ist abgelaufen",
            "Sie hat zu lange gedauert oder wurde in einem anderen Browser oder Tab begonnen.",
            "Beginnen Sie neu: Es dauert nur ein paar Sekunden.",
        ),
        Reason::CodeSpent => say(
            "Dieser Link gilt nicht mehr",
            "Er wurde schon verwendet oder ist zu alt.",
            "Beginnen Sie neu oder bitten Sie den Absender um einen neuen Link.",
        ),
        Reason::ProviderRejected => say(
            "Ihre Anmeldung ließ sich nicht prüfen",
            "Die Antwort Ihres Anmeldedienstes stimmt nicht und wurde deshalb nicht angenommen.",
            "Beginnen Sie neu. Geschieht es wieder, nennen Sie Ihrer Administration die Anfrage-ID unten.",
        ),
        Reason::ProviderRefused => say(
            "Ihr Anmeldedienst hat Sie nicht bestätigt",
            "Ihr Anmeldedienst hat die Anmeldung beendet, ohne zu bestätigen, wer Sie sind.",
            "Versuchen Sie es erneut oder melden Sie sich erst dort an. Bleibt es dabei, fragen Sie, wer den Dienst betreibt.",
        ),
        Reason::NotAMember => say(
            "Sie sind hier noch nicht Mitglied",
            "Ihr Anmeldedienst kennt Sie, aber jenes Konto öffnet bei {} nichts.",
            "Bitten Sie Ihre Administration um eine Einladung.",
        ),
        Reason::AccountTaken => say(
            "Dieses Konto gehört jemand anderem",
            "Es ist hier schon mit einer anderen Person verbunden, und nur mit einer.",
            "Melden Sie sich dort mit Ihrem eigenen Konto an und verbinden Sie dieses.",
        ),
        Reason::AccountUnlinked => say(
            "Dieses Konto wurde getrennt",
            "Es hat bei {} einmal ein Konto geöffnet und wurde davon getrennt.",
            "Melden Sie sich auf anderem Weg an. Ihre Administration kann Ihnen sagen, welche Wege es für Sie gibt.",
        ),
        Reason::ForeignReturn => say(
            "Dieser Link führt anderswohin",
            "Die Seite, zu der es zurückgehen sollte, gehört nicht zu Ihrer Organisation. Sie wurden nicht dorthin geleitet.",
            "Gehen Sie zu Ihren Apps und öffnen Sie die, die Sie brauchen.",
        ),
        Reason::EnrolmentSpent => say(
            "Diese Registrierung gilt nicht mehr",
            "Ihr Token wurde schon verwendet, ist unbekannt oder zu alt.",
            "Bitten Sie Ihre Administration um ein neues.",
        ),
        Reason::RequestNotSigned => say(
            "Dieses Zertifikat kann nicht ausgestellt werden",
            "Die Anfrage verlangt etwas, das ihr nicht zusteht.",
            "Vergleichen Sie die Anfrage mit dem, was gewährt wurde, und senden Sie sie noch einmal.",
        ),
        Reason::CertificateRejected => say(
            "Dieses Zertifikat wird nicht angenommen",
            "Es fehlt, wurde von jemand anderem ausgestellt oder ist abgelaufen.",
            "Registrieren Sie sich mit einem neuen Token.",
        ),
        Reason::CertificateEnded => say(
            "Dieses Zertifikat ist abgelaufen",
            "Es galt, als die Verbindung geöffnet wurde, aber seine Zeit ist um.",
            "Verbinden Sie sich mit dem nächsten neu.",
        ),
        Reason::PolicyInvalid => say(
            "Diese Richtlinien können nicht in Kraft treten",
            "Sie sind nicht gültig, oder ihre eigenen Tests schlagen fehl.",
            "Beheben Sie, was markiert ist, und aktivieren Sie sie dann erneut.",
        ),
        Reason::ProviderUnavailable => say(
            "Ihr Anmeldedienst ist nicht erreichbar",
            "Ihr Anmeldedienst hat nicht geantwortet. Deshalb kann niemand bestätigen, wer Sie sind.",
            "Versuchen Sie es gleich noch einmal oder nutzen Sie eine andere Methode.",
        ),
        Reason::UpstreamUnreachable => say(
            "{} ist nicht verfügbar",
            "Sie dürfen die App verwenden, aber der Dienst hat nicht geantwortet.",
            "Versuchen Sie es gleich noch einmal. Bleibt es dabei, nennen Sie die Anfrage-ID unten denen, die ihn betreiben.",
        ),
        Reason::UpstreamIdentity => say(
            "{} konnte sich nicht ausweisen",
            "Der Dienst hat nicht nachgewiesen, dass er der richtige ist. Ihre Anfrage wurde ihm nicht übergeben.",
            "Sagen Sie es Ihrer Administration und nennen Sie die Anfrage-ID unten.",
        ),
        Reason::UpstreamBroken => say(
            "{} hat abgebrochen",
            "Der Dienst hat begonnen zu antworten und dann aufgehört.",
            "Versuchen Sie es erneut. Prüfen Sie vorher, ob eine Änderung schon ausgeführt wurde.",
        ),
        Reason::UpstreamTimeout => say(
            "{} braucht zu lange",
            "Der Dienst hat nicht rechtzeitig geantwortet. Vielleicht ist Ihre Anfrage noch in Arbeit.",
            "Warten Sie kurz und versuchen Sie es erneut. Prüfen Sie vorher, ob eine Änderung schon ausgeführt wurde.",
        ),
        Reason::StoreUnavailable | Reason::LogUnavailable => say(
            "Der Zugang ruht",
            "Ein Teil des Gateways, der zum Prüfen des Zugriffs nötig ist, ist nicht verfügbar. Deshalb wird nichts durchgelassen.",
            "Versuchen Sie es gleich noch einmal. Ihre Arbeit ist nicht betroffen.",
        ),
        Reason::Overloaded => say(
            "Gerade ist sehr viel los",
            "Es kommen mehr Anfragen, als sich auf einmal bearbeiten lassen.",
            "Warten Sie ein paar Sekunden und versuchen Sie es erneut.",
        ),
        Reason::TenantUnavailable => say(
            "Der Zugang ruht",
            "Die neuesten Einstellungen lassen sich hier nicht anwenden. Nach den älteren wird nichts durchgelassen.",
            "Versuchen Sie es in einigen Minuten erneut. Bleibt es dabei, nennen Sie die Anfrage-ID unten denen, die das Gateway betreiben.",
        ),
        Reason::TimedOut => say(
            "Das hat zu lange gedauert",
            "Die Anfrage wurde nicht rechtzeitig fertig. Vielleicht ist sie noch in Arbeit.",
            "Versuchen Sie es erneut. Prüfen Sie vorher, ob eine Änderung schon ausgeführt wurde.",
        ),
        Reason::ClientGone => say(
            "Die Anfrage wurde abgebrochen",
            "Ihr Browser hat die Verbindung geschlossen, bevor die Antwort fertig war.",
            "Laden Sie die Seite neu, falls Sie sie noch brauchen.",
        ),
        Reason::Internal => say(
            "Bei uns ist etwas schiefgegangen",
            "Das hätte nicht geschehen dürfen. Es wurde festgehalten.",
            "Versuchen Sie es erneut. Geschieht es wieder, nennen Sie Ihrer Administration die Anfrage-ID unten.",
        ),
    }
}
