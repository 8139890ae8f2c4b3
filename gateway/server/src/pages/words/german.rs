//! The texts in German: the reader is `Sie`; a passkey is a `Passkey`, a provider the `Anmeldedienst`.

use super::*;

mod failures;

/// German.
pub static GERMAN: Words = Words {
    language: Language::German,
    dir: "ltr",
    common: COMMON,
    sign_in: SIGN_IN,
    password: PASSWORD,
    code: CODE,
    mail_code: MAIL_CODE,
    mail: MAIL,
    totp: TOTP,
    recovery: RECOVERY,
    passkey: PASSKEY,
    step_up: STEP_UP,
    invitation: INVITATION,
    factors: FACTORS,
    factor_link: FACTOR_LINK,
    link_account: LINK_ACCOUNT,
    sessions: SESSIONS,
    programs: PROGRAMS,
    activity: ACTIVITY,
    portal: PORTAL,
    signed_out: SIGNED_OUT,
    failure_steps: FAILURE_STEPS,
    problem: PROBLEM,
    time: TIME,
    failures: failures::failure,
};

const COMMON: Common = Common {
    skip: Text("Zum Inhalt springen"),
    continue_: Text("Weiter"),
    cancel: Text("Abbrechen"),
    or: Text("oder"),
    later: Text("Nicht jetzt"),
    email: Text("E-Mail-Adresse"),
    password: Text("Passwort"),
    by_cardea: Text("Zugang über Cardea"),
    request_id: Text("Anfrage-ID"),
    request_id_hint: Text("Nennen Sie diese ID, wenn Sie Hilfe brauchen: Mit ihr findet man genau diese Anfrage."),
    sign_out: Text("Abmelden"),
    apps: Text("Apps"),
    factors: Text("Anmeldemethoden"),
    sessions: Text("Sitzungen"),
    programs: Text("Programme"),
    activity: Text("Aktivität"),
    console: Text("Verwaltung"),
    navigation: Text("Ihre Seiten"),
    not_you: Text("Nicht Ihr Konto?"),
    signed_in_as: Text("Angemeldet als {}"),
    assurance_1: Text("Ein Faktor"),
    assurance_2: Text("Zwei Faktoren"),
    assurance_3: Text("Phishing-resistent"),
    assurance_1_hint: Text("Angemeldet mit einem Nachweis, etwa einem Passwort."),
    assurance_2_hint: Text("Angemeldet mit zwei Nachweisen, etwa Passwort und Code."),
    assurance_3_hint: Text(
        "Angemeldet mit einem Schlüssel, der sich weder kopieren noch durch Phishing stehlen lässt.",
    ),
    one_moment: Text("Einen Moment"),
    onward: Text("Sie werden weitergeleitet. Wenn nichts geschieht, geht es hier weiter."),
};

const SIGN_IN: SignInWords = SignInWords {
    title: Text("Anmelden"),
    title_app: Text("Anmelden, um {} zu öffnen"),
    over: Text("Ihre Sitzung ist beendet. Melden Sie sich erneut an, um fortzufahren."),
    continue_with: Text("Weiter mit {}"),
    use_passkey: Text("Passkey verwenden"),
    new_here: Text("Noch kein Konto? Bitten Sie Ihre Administration um eine Einladung."),
};

const PASSWORD: PasswordWords = PasswordWords {
    title: Text("Passwort eingeben"),
    submit: Text("Anmelden"),
    forgotten: Text("Passwort vergessen?"),
    forgotten_answer: Text(
        "Ihre Administration kann Ihnen eine neue Einladung schicken. Mit einem Passkey geht es auch ohne Passwort.",
    ),
};

const CODE: CodeWords = CodeWords {
    title: Text("Code eingeben"),
    lead: Text("Öffnen Sie Ihre Authenticator-App und geben Sie die sechs Ziffern ein, die sie anzeigt."),
    label: Text("Einmalcode"),
    submit: Text("Bestätigen"),
    hint: Text("Jeder Code gilt nur einmal und wechselt alle 30 Sekunden."),
    remember: Text("Auf diesem Gerät {} Tage lang nicht mehr fragen"),
    remember_hint: Text("Nur auf einem Gerät, das Ihnen allein gehört. Das Passwort wird weiterhin verlangt."),
    lost: Text("Kein Code zur Hand?"),
    lost_answer: Text(
        "Verwenden Sie eine andere Methode, die Sie eingerichtet haben, oder bitten Sie Ihre Administration um eine neue Einladung.",
    ),
    use_passkey: Text("Mit Passkey anmelden"),
};

const MAIL_CODE: MailCodeWords = MailCodeWords {
    use_one: Text("Stattdessen Code per E-Mail senden"),
    title: Text("E-Mails prüfen"),
    lead: Text(
        "Wenn diese Adresse hier bekannt ist, ist ein Code dorthin unterwegs. Geben Sie ihn in diesem Browser ein.",
    ),
    label: Text("Code aus der E-Mail"),
    submit: Text("Anmelden"),
    hint: Text("Acht Ziffern. Gilt zehn Minuten lang und nur einmal."),
    none: Text(
        "Nach einigen Minuten keine E-Mail? Sehen Sie bei unerwünschter Post nach oder fordern Sie einen neuen Code an.",
    ),
    again: Text("Neuen Code per E-Mail senden"),
    other: Text("Passwort verwenden"),
};

const MAIL: MailWords = MailWords {
    code_subject: Text("Ihr Code für {}"),
    code_lead: Text("Geben Sie diesen Code in dem Browser ein, in dem Sie ihn angefordert haben:"),
    code_hint: Text(
        "Er gilt nur einmal, zehn Minuten lang. Geben Sie ihn niemandem, wer auch fragt. Wenn Sie ihn nicht angefordert haben, hat jemand anderes Ihre Adresse eingegeben: Ohne den Code kommt niemand hinein, und Sie müssen nichts tun.",
    ),
    invitation_subject: Text("Ihre Einladung zu {}"),
    invitation_lead: Text(
        "Sie wurden bei {} hinzugefügt. Öffnen Sie diesen Link und legen Sie fest, wie Sie sich anmelden:",
    ),
    invitation_hint: Text(
        "Er gilt nur einmal, bis {}. Wer ihn hat, kommt unter Ihrem Namen hinein: Geben Sie ihn niemandem.",
    ),
    added: Text("Anmeldemethode hinzugefügt ({})"),
    removed: Text("Anmeldemethode entfernt ({})"),
    changed: Text("Anmeldemethode geändert ({})"),
    recovery_made: Text("Neue Wiederherstellungscodes erstellt"),
    recovery_used: Text("Wiederherstellungscode verwendet"),
    recovery_left: Text("Verbleibende Codes: {}"),
    program_allowed: Text("Das Programm „{}“ darf in Ihrem Namen handeln"),
    program_reused: Text("Was das Programm „{}“ darf, wurde beendet"),
    program_reused_hint: Text(
        "Ein verbrauchtes Token wurde erneut gezeigt: Jemand anderes könnte eine Kopie haben. Erlauben Sie es neu, wenn Sie es nutzen.",
    ),
    session_reused: Text("Eine Ihrer Sitzungen wurde beendet"),
    session_reused_hint: Text(
        "Ein ersetztes Cookie wurde erneut gezeigt: Jemand anderes könnte eine Kopie haben. Melden Sie sich neu an.",
    ),
    key_made: Text("Der Zugriffsschlüssel „{}“ wurde erstellt"),
    programs_hint: Text("Waren Sie das nicht, nehmen Sie es unter Programme zurück."),
    factor_link_subject: Text("{}: Anmeldemethode hinzufügen"),
    factor_link_lead: Text(
        "Ihre Administration bei {} bittet Sie, eine zweite Anmeldemethode hinzuzufügen. Öffnen Sie diesen Link, melden Sie sich wie gewohnt an und fügen Sie sie hinzu:",
    ),
    factor_link_hint: Text(
        "Er gilt nur einmal, bis {}, und nur für Sie. Wenn Sie nichts davon wissen, öffnen Sie ihn nicht und sagen Sie Ihrer Administration Bescheid.",
    ),
    link_made: Text(
        "Ihre Administration hat einen Link erstellt, mit dem sich Ihrem Konto eine Anmeldemethode hinzufügen lässt",
    ),
    linked: Text("Ein Konto bei {} wurde mit Ihrem verbunden und öffnet es ab jetzt"),
    unlinked: Text("Ein Konto bei {} ist nicht mehr mit Ihrem verbunden"),
    remembered: Text("Ein Gerät ist gemerkt und verlangt keinen zweiten Nachweis"),
    until: Text("Bis: {}"),
    copied: Text("Einer Ihrer Browser wurde möglicherweise kopiert; es ist kein Gerät mehr gemerkt"),
    copied_hint: Text(
        "Ihr Passwort wurde in einem Browser eingegeben, der einen alten Schlüssel eines gemerkten Geräts vorwies. Wenn Sie sich nicht gerade selbst angemeldet haben, kennt jemand Ihr Passwort: Ändern Sie es.",
    ),
    new_browser: Text("Anmeldung in einem neuen Browser"),
    browser: Text("Im Browser: {}"),
    client: Text("Netzwerkadresse: {}"),
    when: Text("Zeit: {}"),
    review: Text(
        "Wenn Sie das nicht waren: Melden Sie sich unter {} überall ab und sagen Sie Ihrer Administration Bescheid.",
    ),
};

const TOTP: TotpWords = TotpWords {
    title: Text("Authenticator-App einrichten"),
    lead: Text(
        "Die App auf Ihrem Telefon zeigt alle 30 Sekunden einen neuen Code. Sie geben ihn nach dem Passwort ein.",
    ),
    scan: Text("Dieses Quadrat mit der App scannen"),
    qr_label: Text("QR-Code mit dem Schlüssel, der darunter steht"),
    type_key: Text("Scannen nicht möglich? Geben Sie diesen Schlüssel ein"),
    then_code: Text("Dann den angezeigten Code eingeben"),
    submit: Text("Bestätigen und hinzufügen"),
};

const RECOVERY: RecoveryWords = RecoveryWords {
    use_one: Text("Wiederherstellungscode verwenden"),
    title: Text("Wiederherstellungscode verwenden"),
    lead: Text(
        "Falls Telefon oder Schlüssel verloren sind. Mit einem Code fügen Sie eine neue Anmeldemethode hinzu; danach ist er verbraucht.",
    ),
    label: Text("Wiederherstellungscode"),
    hint: Text("Sechzehn Buchstaben und Ziffern von Ihrer Liste. Leerzeichen und Striche spielen keine Rolle."),
    submit: Text("Diesen Code verwenden"),
    other: Text("Andere Methode verwenden"),
    make_title: Text("Ihre Wiederherstellungscodes"),
    make_lead: Text(
        "Wenn Telefon oder Schlüssel verloren gehen, fügen Sie mit einem davon eine neue Methode hinzu. Jeder gilt einmal, nach Ihrem Passwort.",
    ),
    make_replaces: Text(
        "Sobald Sie bestätigen, ersetzen diese Codes Ihre bisherigen. Werfen Sie die alte Liste dann weg.",
    ),
    download: Text("Als Textdatei speichern"),
    once: Text(
        "Sie werden nur dieses eine Mal angezeigt. Drucken Sie sie aus oder schreiben Sie sie ab, und verwahren Sie sie nicht beim Telefon.",
    ),
    kept: Text("Ich habe diese Codes verwahrt"),
    make_submit: Text("Fertig"),
};

const PASSKEY: PasskeyWords = PasskeyWords {
    title: Text("Passkey hinzufügen"),
    lead: Text(
        "Mit einem Passkey melden Sie sich per Fingerabdruck, Gesicht oder Geräte-PIN an. Niemand kann ihn erraten, \
         wiederverwenden oder durch Phishing stehlen.",
    ),
    name: Text("Name"),
    name_hint: Text("Daran erkennen Sie ihn wieder, zum Beispiel „Dienst-Laptop“."),
    submit: Text("Passkey hinzufügen"),
    needs_script: Text(
        "Passkeys brauchen JavaScript. Schalten Sie es für diese Website ein oder nutzen Sie eine andere Methode.",
    ),
    unsupported: Text("Dieser Browser kann keine Passkeys. Nutzen Sie eine andere Methode oder einen anderen Browser."),
    cancelled: Text("Es wurde kein Passkey verwendet. Versuchen Sie es erneut oder nutzen Sie eine andere Methode."),
    failed: Text("Das hat nicht geklappt. Versuchen Sie es erneut oder nutzen Sie eine andere Methode."),
    waiting: Text("Folgen Sie den Anweisungen Ihres Browsers …"),
    already: Text("Auf diesem Gerät gibt es schon einen Passkey für Ihr Konto."),
    retry: Text("Die Verbindung ist abgebrochen. Versuchen Sie es erneut."),
};

const STEP_UP: StepUpWords = StepUpWords {
    title: Text("Identität bestätigen"),
    why_two: Text("{} verlangt einen zweiten Nachweis, bevor diese Seite angezeigt wird."),
    why_three: Text("{} verlangt einen Passkey oder Sicherheitsschlüssel, bevor diese Seite angezeigt wird."),
    why_fresh: Text(
        "Ihre Anmeldung liegt schon länger zurück. Dieser Schritt braucht einen Nachweis aus den letzten Minuten.",
    ),
    why_unavailable: Text("{} verlangt einen stärkeren Nachweis, als Ihr Konto bisher bietet."),
    unavailable_title: Text("Richten Sie zuerst eine stärkere Anmeldung ein"),
    needs_link: Text(
        "Bitten Sie Ihre Administration um einen Link dafür. Damit melden Sie sich wie gewohnt an und fügen einen hinzu.",
    ),
    use_passkey: Text("Passkey verwenden"),
    set_up: Text("Anmeldemethode einrichten"),
    not_now: Text("Nicht jetzt"),
    nothing_lost: Text("Sie bleiben angemeldet und gelangen dorthin zurück, wohin Sie wollten."),
};

const INVITATION: InvitationWords = InvitationWords {
    title: Text("Willkommen bei {}"),
    signed_as: Text("Diese Einladung ist für"),
    passkey_title: Text("Mit einem Passkey"),
    passkey_lead: Text("Fingerabdruck, Gesicht oder Geräte-PIN. Am schnellsten und am sichersten."),
    passkey_submit: Text("Passkey erstellen"),
    password_title: Text("Mit einem Passwort"),
    password_lead: Text(
        "Mindestens {} Zeichen. Ein paar Wörter ohne Zusammenhang sind leicht zu merken und schwer zu erraten.",
    ),
    password: Text("Neues Passwort"),
    again: Text("Dasselbe noch einmal"),
    submit: Text("Passwort festlegen und weiter"),
    mail_title: Text("Mit Codes per E-Mail"),
    mail_lead: Text("Bei jeder Anmeldung kommt ein Code an diese Adresse."),
    mail_submit: Text("Ersten Code per E-Mail senden"),
    second_title: Text("Sie sind angemeldet. Zweite Methode hinzufügen?"),
    second_title_must: Text("Sie sind angemeldet. Fügen Sie jetzt eine zweite Methode hinzu"),
    second_lead: Text(
        "Manche Apps verlangen einen zweiten Nachweis. Richten Sie ihn jetzt ein, und sie öffnen sich ohne Umweg.",
    ),
    second_must: Text(
        "Hier wird bei jeder Anmeldung ein zweiter Nachweis verlangt. Richten Sie ihn jetzt ein: Ohne ihn können Sie sich nicht wieder anmelden.",
    ),
    second_passkey: Text("Passkey hinzufügen"),
    second_passkey_lead: Text("Fingerabdruck, Gesicht oder Geräte-PIN."),
    second_totp: Text("Authenticator-App einrichten"),
    second_totp_lead: Text("Ein sechsstelliger Code von Ihrem Telefon."),
    second_later: Text("Nicht jetzt"),
};

const FACTORS: FactorsWords = FactorsWords {
    title: Text("Anmeldemethoden"),
    lead: Text("Behalten Sie mindestens zwei, damit ein verlorenes Telefon Sie nicht aussperrt."),
    password: Text("Passwort"),
    totp: Text("Authenticator-App"),
    passkey: Text("Passkey"),
    provider: Text("Anmeldedienst"),
    added: Text("Hinzugefügt:"),
    last_used: Text("Zuletzt verwendet:"),
    never_used: Text("Noch nicht verwendet"),
    remove: Text("Entfernen"),
    remove_label: Text("{} entfernen"),
    rename: Text("Umbenennen"),
    rename_label: Text("{} umbenennen"),
    last: Text("Zum Anmelden nötig"),
    add: Text("Weitere hinzufügen"),
    add_passkey: Text("Passkey hinzufügen"),
    add_totp: Text("Authenticator-App einrichten"),
    empty: Text(
        "Sie melden sich nur über Ihren Anmeldedienst an. Mit einem Passkey können Sie wichtige Schritte hier bestätigen.",
    ),
    remove_title: Text("{} entfernen?"),
    remove_lead: Text(
        "Sie können sich dann nicht mehr damit anmelden. Neu einrichten können Sie die Methode jederzeit.",
    ),
    remove_weakens: Text(
        "Das ist Ihr einziger zweiter Nachweis: Apps, die einen verlangen, bleiben zu, bis Sie einen neuen hinzufügen.",
    ),
    remove_submit: Text("{} entfernen"),
    name_title: Text("{} umbenennen"),
    name: Text("Name"),
    name_hint: Text("Höchstens 80 Zeichen."),
    name_submit: Text("Namen speichern"),
    done_added: Text("Hinzugefügt. Ab jetzt können Sie sich damit anmelden."),
    done_removed: Text("Entfernt. Damit kann sich niemand mehr anmelden."),
    done_named: Text("Der neue Name ist gespeichert."),
    passkey_hint: Text("Fingerabdruck, Gesicht oder Geräte-PIN. Am schnellsten und am sichersten."),
    totp_hint: Text("Ein sechsstelliger Code von Ihrem Telefon, nach dem Passwort."),
    email: Text("Codes per E-Mail"),
    recovery: Text("Wiederherstellungscodes"),
    recovery_left: Text("Noch {}"),
    done_recovery: Text("Ihre Wiederherstellungscodes gelten ab jetzt."),
    recovering: Text(
        "Sie sind mit einem Wiederherstellungscode angemeldet. Fügen Sie jetzt eine neue Methode hinzu und entfernen Sie, was Sie verloren haben. Bis dahin bleibt zu, was zwei Nachweise verlangt.",
    ),
    owed: Text(
        "Ihre Organisation verlangt eine zweite Anmeldemethode. Bis Sie eine hinzugefügt haben, öffnet sich nichts anderes; danach geht es weiter, wohin Sie wollten.",
    ),
    offer_recovery_title: Text("Wiederherstellungscodes erstellen"),
    offer_recovery: Text(
        "Zehn Codes auf Papier für den Tag, an dem Telefon oder Schlüssel verloren sind. Ohne sie müssten Sie Ihre Administration bitten.",
    ),
    offer_recovery_submit: Text("Codes erstellen"),
    renew_recovery: Text("Neue Wiederherstellungscodes erstellen"),
    renew_recovery_hint: Text("Sie ersetzen Ihre bisherigen."),
    needs_link: Text(
        "Für eine zweite Anmeldemethode bitten Sie Ihre Administration um einen Link. So kann niemand, der Ihre einzige gestohlen hat, eine eigene hinzufügen.",
    ),
    linked: Text("Verbundenes Konto"),
    add_linked: Text("Konto bei {} verbinden"),
    linked_hint: Text("Danach können Sie sich hier anmelden, indem Sie sich dort anmelden."),
    done_linked: Text("Verbunden. Ab jetzt können Sie sich damit anmelden."),
};

const LINK_ACCOUNT: LinkAccountWords = LinkAccountWords {
    title: Text("Konto bei {} verbinden"),
    lead: Text("Sie melden sich jetzt dort an. Danach öffnet jenes Konto auch Ihres hier:"),
    note: Text(
        "Verbinden Sie keines, das jemand anders öffnen kann: Wer sich dort anmeldet, kommt dann auch hier herein.",
    ),
    submit: Text("Weiter zu {}"),
};

const FACTOR_LINK: FactorLinkWords = FactorLinkWords {
    title: Text("Anmeldemethode hinzufügen"),
    lead: Text(
        "Ihre Administration bei {} lässt Sie eine zweite Anmeldemethode hinzufügen. Was Sie haben, bleibt, wie es ist.",
    ),
};

const SESSIONS: SessionsWords = SessionsWords {
    title: Text("Sitzungen"),
    lead: Text("Hier sind Sie angemeldet. Beenden Sie, was Sie nicht kennen."),
    current: Text("Dieser Browser"),
    since: Text("Angemeldet:"),
    seen: Text("Zuletzt verwendet:"),
    address: Text("Adresse:"),
    end: Text("Sitzung beenden"),
    end_label: Text("Sitzung beenden: {}"),
    end_all: Text("Überall abmelden"),
    end_all_lead: Text("Beendet alle Sitzungen, auch diese."),
    end_others: Text("Alle anderen Sitzungen beenden"),
    end_others_lead: Text("Hier bleiben Sie angemeldet."),
    end_others_and_forget: Text("Hier bleiben Sie angemeldet. Alle anderen Geräte werden vergessen."),
    done_others: Text("Alle anderen Sitzungen sind beendet."),
    done_ended: Text("Die Sitzung ist beendet. Dort ist eine neue Anmeldung nötig."),
    browser_at: Text("{} ({})"),
    some_browser: Text("Ein Browser"),
    some_program: Text("Ein Programm"),
    unknown_browser: Text("Unbekannter Browser"),
    devices_title: Text("Gemerkte Geräte"),
    devices_lead: Text(
        "Hier brauchen Sie zur Anmeldung keinen zweiten Nachweis. Vergessen Sie, was Ihnen nicht mehr allein gehört.",
    ),
    remembered: Text("Zweiter Nachweis:"),
    forget: Text("Vergessen"),
    forget_label: Text("Vergessen: {}"),
    done_forgotten: Text("Vergessen. Die nächste Anmeldung dort verlangt wieder den zweiten Nachweis."),
};

const PROGRAMS: ProgramWords = ProgramWords {
    title: Text("Programme"),
    lead: Text("Was ohne Browser in Ihrem Namen handeln darf. Nehmen Sie zurück, was Sie nicht mehr nutzen."),
    empty: Text("Kein Programm handelt für Sie."),
    since: Text("Erlaubt"),
    used: Text("Zuletzt genutzt"),
    end: Text("Zurücknehmen"),
    end_label: Text("Zurücknehmen, was {} darf"),
    keys_title: Text("Zugriffsschlüssel"),
    keys_lead: Text(
        "Für Werkzeuge, die nur eine Kopfzeile senden können. Wer einen Schlüssel hat, kann, wofür er gilt; geben Sie jedem Werkzeug seinen eigenen.",
    ),
    over: Text("Abgelaufen"),
    good_until: Text("Gültig bis"),
    never: Text("Noch nicht genutzt"),
    remove: Text("Entfernen"),
    remove_label: Text("{} entfernen"),
    make: Text("Zugriffsschlüssel erstellen"),
    make_lead: Text("Er zählt als ein Nachweis: Was einen zweiten verlangt, bleibt ihm verschlossen."),
    name: Text("Name"),
    name_hint: Text("Wofür er ist, etwa „Notebook am Laborrechner“."),
    good_for: Text("Gültig für"),
    days: Text("{} Tage"),
    read: Text("Lesen"),
    write: Text("Ändern und hinzufügen"),
    act: Text("Den Schritt „{}“"),
    may: Text("Es darf"),
    there: Text("In diesen Apps"),
    ask_title: Text("Darf {} für Sie handeln?"),
    ask_lead: Text("Es möchte in Ihrem Namen handeln, mit Ihren Rechten und nicht weiter als so:"),
    allow: Text("Erlauben"),
    deny: Text("Nein"),
    until: Text("Höchstens für {} Tage. Sie können es jederzeit unter Programme zurücknehmen."),
    device_warning: Text(
        "Fahren Sie nur fort, wenn Sie dies selbst begonnen haben, an einem Gerät vor Ihnen. Wer Ihnen einen Code schickt, würde in Ihrem Namen handeln.",
    ),
    code_title: Text("Gerät verbinden"),
    code_lead: Text("Geben Sie den Code ein, den Ihr Gerät oder Programm zeigt."),
    code_label: Text("Code des Geräts"),
    code_hint: Text("Acht Buchstaben. Striche und Leerzeichen sind egal."),
    no_code: Text(
        "Kein Gerät zeigt diesen Code, oder er ist zu alt. Vergleichen Sie ihn, oder beginnen Sie am Gerät neu.",
    ),
    done_title: Text("Ihr Gerät ist verbunden"),
    done_lead: Text("{} macht von selbst weiter. Sie können diese Seite schließen."),
    denied_title: Text("Es wurde nichts erlaubt"),
    denied_lead: Text("{} hat ein Nein erhalten. Sie können diese Seite schließen."),
    made_title: Text("Ihr Zugriffsschlüssel"),
    made_lead: Text(
        "Er wird nur dieses eine Mal gezeigt. Hinterlegen Sie ihn dort, wo das Werkzeug ihn liest, und nirgends sonst.",
    ),
    made_hint: Text("Das Werkzeug sendet ihn in der Kopfzeile Authorization, nach dem Wort Bearer."),
    made_done: Text("Ich habe ihn aufbewahrt"),
    nothing_chosen: Text("Wählen Sie mindestens eine App, und was der Schlüssel dort darf."),
    too_many_keys: Text("Sie haben so viele Schlüssel, wie man haben darf. Entfernen Sie erst einen."),
    done_ended: Text("Das Programm darf in Ihrem Namen nichts mehr."),
    done_removed: Text("Der Schlüssel öffnet nichts mehr."),
};

const ACTIVITY: ActivityWords = ActivityWords {
    title: Text("Aktivität"),
    lead: Text("Was zuletzt mit Ihrem Konto geschah. Waren Sie das nicht, sagen Sie es Ihrer Administration."),
    empty: Text("Noch nichts. Anmeldungen und Änderungen Ihres Kontos erscheinen hier."),
    signed_in: Text("Angemeldet ({})"),
    confirmed: Text("Identität bestätigt ({})"),
    refused: Text("Eine Anmeldung wurde abgelehnt"),
    refused_with: Text("Abgelehnt: {}"),
    recovery_used: Text("Ein Wiederherstellungscode wurde verwendet"),
    reused: Text("Eine Sitzung wurde beendet, da sie vielleicht von anderen verwendet wurde"),
    signed_out: Text("Abgemeldet"),
    signed_out_everywhere: Text("Überall abgemeldet"),
    session_ended: Text("Eine Sitzung wurde beendet"),
    joined: Text("Konto eröffnet"),
    linked: Text("Verbunden mit {}"),
    unlinked: Text("Nicht mehr verbunden mit {}"),
    suspended: Text("Konto gesperrt"),
    activated: Text("Konto wieder aktiv"),
    reset: Text("Konto zurückgesetzt"),
    invited: Text("Einladung ausgestellt"),
    attributes: Text("Angaben über Sie wurden geändert"),
    program_allowed: Text("Sie haben {} erlaubt, für Sie zu handeln"),
    program_ended: Text("Was {} darf, wurde zurückgenommen oder ist abgelaufen"),
    programs_ended: Text("Alles, was Programme dürfen, wurde beendet"),
    program_reused: Text("Ein verbrauchtes Token von {} wurde erneut gezeigt; was es darf, wurde beendet"),
    key_made: Text("Sie haben den Zugriffsschlüssel „{}“ erstellt"),
    key_removed: Text("Sie haben den Zugriffsschlüssel „{}“ entfernt"),
    link_made: Text("Link ausgestellt, um eine Anmeldeart hinzuzufügen"),
    link_used: Text("Link benutzt, um eine Anmeldeart hinzuzufügen"),
    device: Text("Gemerktes Gerät"),
    remembered: Text("Gerät gemerkt: {}"),
    forgotten: Text("Gemerkte Geräte vergessen"),
    groups: Text("Ihre Gruppen wurden geändert"),
    added: Text("Hinzugefügt: {}"),
    removed: Text("Entfernt: {}"),
    changed: Text("Geändert: {}"),
    times: Text("{}-mal"),
    by_administrator: Text("Durch die Administration"),
    pages: Text("Seiten"),
    newer: Text("Neuere"),
    older: Text("Ältere"),
};

const PORTAL: PortalWords = PortalWords {
    title: Text("Apps"),
    greeting: Text("Guten Tag, {}"),
    signed_in: Text("Angemeldet:"),
    empty_title: Text("Noch keine Apps"),
    empty: Text(
        "Für Sie ist hier noch nichts freigegeben. Bitten Sie Ihre Administration, Sie in eine Gruppe mit einer App aufzunehmen.",
    ),
    empty_must: Text(
        "Noch ist nichts für Sie offen. Ihre Apps erscheinen hier, sobald Sie eine zweite Methode haben, sich anzumelden.",
    ),
    asks_more: Text("Verlangt einen weiteren Nachweis"),
    offer_title: Text("Zweite Anmeldemethode hinzufügen"),
    offer: Text("Manche Apps verlangen einen zweiten Nachweis. Mit einem Passkey genügt eine Berührung."),
    offer_submit: Text("Einrichten"),
    offer_needs_link: Text(
        "Manche Apps verlangen einen zweiten Nachweis. Bitten Sie Ihre Administration um einen Link, um einen hinzuzufügen.",
    ),
    recovery_used: Text("Ein Wiederherstellungscode von Ihnen wurde verwendet: {}"),
    recovery_used_hint: Text(
        "Wenn Sie das nicht waren: Melden Sie sich überall ab, ändern Sie Ihre Anmeldemethoden und sagen Sie Ihrer Administration Bescheid.",
    ),
    copied: Text("Jemand hat vielleicht eine Kopie von „{}“"),
    copied_hint: Text(
        "Der Zähler lag hinter dem letzten Stand, darum wurde die Anmeldung abgelehnt. Entfernen Sie diesen Passkey, fügen Sie einen anderen hinzu und sagen Sie Ihrer Administration Bescheid.",
    ),
};

const SIGNED_OUT: SignedOutWords = SignedOutWords {
    title: Text("Sie sind abgemeldet"),
    lead: Text("Ihre Sitzung in diesem Browser ist beendet, in allen Apps von {}."),
    title_everywhere: Text("Sie sind überall abgemeldet"),
    lead_everywhere: Text("Alle Ihre Sitzungen bei {} sind beendet, auf jedem Gerät."),
    again: Text("Erneut anmelden"),
    close: Text("Schließen Sie an einem gemeinsam genutzten Computer auch den Browser."),
};

const FAILURE_STEPS: FailureSteps = FailureSteps {
    sign_in: Text("Anmelden"),
    confirm: Text("Identität bestätigen"),
    start_again: Text("Neu beginnen"),
    another_account: Text("Anderes Konto verwenden"),
    add_factor: Text("Zweiten Faktor hinzufügen"),
    factor_may_help: Text("Fügen Sie Ihrem Konto zuerst einen zweiten Faktor hinzu: Vielleicht ist hier einer nötig."),
    link_may_help: Text(
        "Wenn Sie hier ein Konto haben, melden Sie sich wie immer an und verbinden Sie jenes unter „Anmeldemethoden“.",
    ),
    not_linked: Text("Das Konto wurde nicht verbunden"),
    link_again: Text(
        "Es hat sich nichts geändert. Gehen Sie zu Ihren Anmeldemethoden und versuchen Sie es von dort erneut.",
    ),
    to_factors: Text("Zu meinen Anmeldemethoden"),
    asked_and_said: Text("Verlangt: {}. Ihr Anmeldedienst bestätigt: {}."),
    apps: Text("Zu meinen Apps"),
};

const PROBLEM: ProblemWords = ProblemWords {
    bad_email: Text("Geben Sie eine E-Mail-Adresse ein, zum Beispiel name@example.com."),
    wrong_password: Text(
        "E-Mail-Adresse und Passwort passen nicht zusammen. Prüfen Sie beides und versuchen Sie es erneut.",
    ),
    wrong_code: Text(
        "Dieser Code stimmt nicht oder wurde schon verwendet. Warten Sie auf den nächsten und geben Sie ihn ein.",
    ),
    wrong_mail_code: Text("Dieser Code stimmt nicht. Geben Sie den aus der neuesten E-Mail ein."),
    spent_mail_code: Text("Dieser Code gilt nicht mehr. Fordern Sie einen neuen an."),
    wrong_recovery: Text(
        "Dieser Code stimmt nicht oder wurde schon verwendet. Prüfen Sie ihn oder nehmen Sie einen anderen von Ihrer Liste.",
    ),
    wrong_passkey: Text("Dieser Passkey ist hier nicht bekannt. Nutzen Sie einen anderen oder eine andere Methode."),
    too_many: Text("Zu viele Versuche. Warten Sie {}, dann versuchen Sie es erneut."),
    password_short: Text("Verwenden Sie mindestens {} Zeichen."),
    password_long: Text("Verwenden Sie höchstens {} Zeichen."),
    password_common: Text("Viele verwenden dieses Passwort, also wird es zuerst probiert. Wählen Sie ein anderes."),
    password_personal: Text(
        "Dieses Passwort besteht aus Ihrem Namen oder Ihrer Adresse und ist leicht zu erraten. Wählen Sie ein anderes.",
    ),
    passwords_differ: Text("Die beiden Passwörter sind verschieden. Geben Sie zweimal dasselbe ein."),
    bad_name: Text("Wählen Sie einen Namen von 1 bis 80 Zeichen."),
    last_factor: Text(
        "Sie brauchen das zum Anmelden. Fügen Sie erst eine andere Methode hinzu, dann entfernen Sie diese.",
    ),
    already_there: Text("Das ist schon eingerichtet."),
    expired: Text("Das hat zu lange gedauert. Beginnen Sie diesen Schritt neu."),
    try_again: Text("Bei uns ist etwas schiefgegangen. Versuchen Sie es gleich noch einmal."),
};

const TIME: TimeWords = TimeWords {
    now: Text("gerade eben"),
    minute_ago: Text("vor 1 Minute"),
    minutes_ago: Text("vor {} Minuten"),
    hour_ago: Text("vor 1 Stunde"),
    hours_ago: Text("vor {} Stunden"),
    day_ago: Text("vor 1 Tag"),
    days_ago: Text("vor {} Tagen"),
    second: Text("1 Sekunde"),
    seconds: Text("{} Sekunden"),
    minute: Text("1 Minute"),
    minutes: Text("{} Minuten"),
    hour: Text("1 Stunde"),
    hours: Text("{} Stunden"),
};
