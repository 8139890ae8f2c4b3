//! The texts in English.

use super::*;

mod failures;

/// English.
pub static ENGLISH: Words = Words {
    language: Language::English,
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
    activity: ACTIVITY,
    portal: PORTAL,
    signed_out: SIGNED_OUT,
    failure_steps: FAILURE_STEPS,
    problem: PROBLEM,
    time: TIME,
    failures: failures::failure,
};

const COMMON: Common = Common {
    skip: Text("Skip to the content"),
    continue_: Text("Continue"),
    cancel: Text("Cancel"),
    or: Text("or"),
    later: Text("Not now"),
    email: Text("E-mail address"),
    password: Text("Password"),
    by_cardea: Text("Access by Cardea"),
    request_id: Text("Request id"),
    request_id_hint: Text("Give this id to whoever helps you: it finds exactly this request."),
    sign_out: Text("Sign out"),
    apps: Text("Apps"),
    factors: Text("Ways to sign in"),
    sessions: Text("Sessions"),
    activity: Text("Activity"),
    console: Text("Administration"),
    navigation: Text("Your pages"),
    not_you: Text("Not you?"),
    signed_in_as: Text("Signed in as {}"),
    assurance_1: Text("One factor"),
    assurance_2: Text("Two factors"),
    assurance_3: Text("Phishing-resistant"),
    assurance_1_hint: Text("Signed in with one proof, such as a password."),
    assurance_2_hint: Text("Signed in with two proofs, such as a password and a code."),
    assurance_3_hint: Text("Signed in with a key that cannot be copied or phished."),
    one_moment: Text("One moment"),
    onward: Text("You are being taken on. If nothing happens, continue here."),
};

const SIGN_IN: SignInWords = SignInWords {
    title: Text("Sign in"),
    title_app: Text("Sign in to open {}"),
    over: Text("Your session has ended. Sign in again to go on."),
    continue_with: Text("Continue with {}"),
    use_passkey: Text("Use a passkey"),
    new_here: Text("No account yet? Ask your administrator for an invitation."),
};

const PASSWORD: PasswordWords = PasswordWords {
    title: Text("Enter your password"),
    submit: Text("Sign in"),
    forgotten: Text("Forgotten your password?"),
    forgotten_answer: Text(
        "Your administrator can send you a new invitation. With a passkey you can sign in without it.",
    ),
};

const CODE: CodeWords = CodeWords {
    title: Text("Enter your code"),
    lead: Text("Open your authenticator app and type the six digits that it shows."),
    label: Text("One-time code"),
    submit: Text("Verify"),
    hint: Text("Each code works once and changes every 30 seconds."),
    lost: Text("Can’t get a code?"),
    lost_answer: Text("Use another way that you have set up, or ask your administrator for a new invitation."),
    use_passkey: Text("Use a passkey instead"),
};

const MAIL_CODE: MailCodeWords = MailCodeWords {
    use_one: Text("E-mail me a code instead"),
    title: Text("Check your e-mail"),
    lead: Text("If this address is known here, a code is on its way to it. Type it in this browser."),
    label: Text("Code from the e-mail"),
    submit: Text("Sign in"),
    hint: Text("Eight digits. Good for ten minutes, and once."),
    none: Text("No e-mail after a few minutes? Look among unwanted mail, or ask for another code."),
    again: Text("E-mail me a new code"),
    other: Text("Use the password"),
};

const MAIL: MailWords = MailWords {
    code_subject: Text("Your code for {}"),
    code_lead: Text("Type this code in the browser in which you asked for it:"),
    code_hint: Text(
        "It works once, for ten minutes. Give it to nobody, whoever asks. If you didn’t ask for it, somebody else typed your address: without the code they don’t get in, and you need do nothing.",
    ),
    invitation_subject: Text("Your invitation to {}"),
    invitation_lead: Text("You have been added to {}. Open this link and choose how you sign in:"),
    invitation_hint: Text("It works once, until {}. Whoever has it gets in as you, so give it to nobody."),
    added: Text("A way to sign in was added ({})"),
    removed: Text("A way to sign in was removed ({})"),
    changed: Text("A way to sign in was changed ({})"),
    recovery_made: Text("New recovery codes were made"),
    recovery_used: Text("A recovery code was used"),
    recovery_left: Text("Codes left: {}"),
    factor_link_subject: Text("{}: add a way to sign in"),
    factor_link_lead: Text(
        "Your administrator at {} asks you to add a second way to sign in. Open this link, sign in as you always do, and add it:",
    ),
    factor_link_hint: Text(
        "It works once, until {}, and for you alone. If you know nothing of it, don’t open it and tell your administrator.",
    ),
    link_made: Text("Your administrator made a link with which a way to sign in can be added to your account"),
    linked: Text("An account at {} was linked to yours, and opens it from now on"),
    unlinked: Text("An account at {} is no longer linked to yours"),
    new_browser: Text("Sign-in from a new browser"),
    browser: Text("Browser: {}"),
    client: Text("Network address: {}"),
    when: Text("When: {}"),
    review: Text("If that wasn’t you, sign out everywhere at {} and tell your administrator."),
};

const TOTP: TotpWords = TotpWords {
    title: Text("Set up an authenticator app"),
    lead: Text("The app on your phone makes a new code every 30 seconds. You type it after your password."),
    scan: Text("Scan this square with the app"),
    qr_label: Text("QR code with the key that is written below"),
    type_key: Text("Can’t scan? Type this key instead"),
    then_code: Text("Then type the code that it shows"),
    submit: Text("Confirm and add"),
};

const RECOVERY: RecoveryWords = RecoveryWords {
    use_one: Text("Use a recovery code"),
    title: Text("Use a recovery code"),
    lead: Text(
        "For when your phone or key is lost. A code leads to where you add a new way to sign in, and is then spent.",
    ),
    label: Text("Recovery code"),
    hint: Text("Sixteen letters and digits of the list that you kept. Spaces and dashes don’t matter."),
    submit: Text("Use this code"),
    other: Text("Use another way"),
    make_title: Text("Your recovery codes"),
    make_lead: Text(
        "If you lose your phone or key, one of these gets you to where you add a new one. Each works once, after your password.",
    ),
    make_replaces: Text("Once you confirm, these take the place of the codes that you have. Throw the old list away."),
    download: Text("Save as a text file"),
    once: Text("They are shown this once. Print them, or write them down, and keep them where your phone is not."),
    kept: Text("I have kept these codes"),
    make_submit: Text("Done"),
};

const PASSKEY: PasskeyWords = PasskeyWords {
    title: Text("Add a passkey"),
    lead: Text(
        "A passkey signs you in with your fingerprint, face or device PIN. It can’t be guessed, reused or phished.",
    ),
    name: Text("Name"),
    name_hint: Text("So that you know it again, such as “Work laptop”."),
    submit: Text("Add a passkey"),
    needs_script: Text("Passkeys need JavaScript. Switch it on for this site, or use another way."),
    unsupported: Text("This browser has no passkeys. Use another way, or another browser."),
    cancelled: Text("No passkey was used. Try again, or use another way."),
    failed: Text("That did not work. Try again, or use another way."),
    waiting: Text("Follow the instructions of your browser …"),
    already: Text("This device already holds a passkey for your account."),
    retry: Text("The connection failed. Try again."),
};

const STEP_UP: StepUpWords = StepUpWords {
    title: Text("Confirm it’s you"),
    why_two: Text("{} asks for a second proof before it shows this page."),
    why_three: Text("{} asks for a passkey or security key before it shows this page."),
    why_fresh: Text("It has been a while since you signed in. This step wants a proof from the last few minutes."),
    why_unavailable: Text("{} asks for a stronger proof than your account has yet."),
    unavailable_title: Text("Set up a stronger sign-in first"),
    needs_link: Text(
        "To add one, ask your administrator for a link. With it you sign in as you always do, and add it.",
    ),
    use_passkey: Text("Use a passkey"),
    set_up: Text("Set up another way to sign in"),
    not_now: Text("Not now"),
    nothing_lost: Text("You stay signed in, and return to where you were going."),
};

const INVITATION: InvitationWords = InvitationWords {
    title: Text("Welcome to {}"),
    signed_as: Text("This invitation is for"),
    passkey_title: Text("With a passkey"),
    passkey_lead: Text("Your fingerprint, face or device PIN. Quickest, and safest."),
    passkey_submit: Text("Create a passkey"),
    password_title: Text("With a password"),
    password_lead: Text("At least {} characters. A few unrelated words are easy to remember and hard to guess."),
    password: Text("New password"),
    again: Text("The same once more"),
    submit: Text("Set password and continue"),
    mail_title: Text("With codes by e-mail"),
    mail_lead: Text("Each time you sign in, a code comes to this address."),
    mail_submit: Text("E-mail me the first code"),
    second_title: Text("You’re in. Add a second way?"),
    second_lead: Text("Some apps ask for a second proof. Set it up now, and they open without a detour."),
    second_passkey: Text("Add a passkey"),
    second_passkey_lead: Text("Fingerprint, face or device PIN."),
    second_totp: Text("Set up an authenticator app"),
    second_totp_lead: Text("A six-digit code from your phone."),
    second_later: Text("Not now"),
};

const FACTORS: FactorsWords = FactorsWords {
    title: Text("Ways to sign in"),
    lead: Text("Keep at least two, so that a lost phone does not lock you out."),
    password: Text("Password"),
    totp: Text("Authenticator app"),
    passkey: Text("Passkey"),
    provider: Text("Sign-in by provider"),
    added: Text("Added"),
    last_used: Text("Last used"),
    never_used: Text("Not used yet"),
    remove: Text("Remove"),
    remove_label: Text("Remove {}"),
    rename: Text("Rename"),
    rename_label: Text("Rename {}"),
    last: Text("Needed to sign in"),
    add: Text("Add another"),
    add_passkey: Text("Add a passkey"),
    add_totp: Text("Set up an authenticator app"),
    empty: Text("You sign in by your provider alone. Add a passkey to confirm important steps here."),
    remove_title: Text("Remove {}?"),
    remove_lead: Text("You will no longer be able to sign in with it. You can set it up again at any time."),
    remove_weakens: Text("It is your only second proof: apps that ask for one will stay closed until you add another."),
    remove_submit: Text("Remove {}"),
    name_title: Text("Rename {}"),
    name: Text("Name"),
    name_hint: Text("Up to 80 characters."),
    name_submit: Text("Save name"),
    done_added: Text("Added. You can sign in with it from now on."),
    done_removed: Text("Removed. It no longer signs you in."),
    done_named: Text("The new name is saved."),
    passkey_hint: Text("Fingerprint, face or device PIN. Quickest, and safest."),
    totp_hint: Text("A six-digit code from your phone, after your password."),
    email: Text("Codes by e-mail"),
    recovery: Text("Recovery codes"),
    recovery_left: Text("{} left"),
    done_recovery: Text("Your recovery codes count from now on."),
    recovering: Text(
        "You are in with a recovery code. Add a new way to sign in now, and remove what you have lost. Until then, whatever asks for two proofs stays closed.",
    ),
    owed: Text(
        "Your organisation asks for a second way to sign in. Until you have added one, nothing else opens; after that you go on to where you were going.",
    ),
    offer_recovery_title: Text("Make recovery codes"),
    offer_recovery: Text(
        "Ten codes on paper, for the day on which your phone or key is lost. Without them you would have to ask your administrator.",
    ),
    offer_recovery_submit: Text("Make codes"),
    renew_recovery: Text("Make new recovery codes"),
    renew_recovery_hint: Text("They take the place of those that you have."),
    needs_link: Text(
        "To add a second way to sign in, ask your administrator for a link. So nobody who has stolen the only one that you have can add theirs.",
    ),
    linked: Text("Linked account"),
    add_linked: Text("Link an account at {}"),
    linked_hint: Text("From then on you can sign in here by signing in there."),
    done_linked: Text("Linked. You can sign in with it from now on."),
};

const LINK_ACCOUNT: LinkAccountWords = LinkAccountWords {
    title: Text("Link an account at {}"),
    lead: Text("You sign in over there now. From then on that account opens yours here:"),
    note: Text("Link none that somebody else can open: whoever signs in over there gets in here, too."),
    submit: Text("Go on to {}"),
};

const FACTOR_LINK: FactorLinkWords = FactorLinkWords {
    title: Text("Add a way to sign in"),
    lead: Text("Your administrator at {} lets you add a second way to sign in. What you have stays as it is."),
};

const SESSIONS: SessionsWords = SessionsWords {
    title: Text("Sessions"),
    lead: Text("Where you are signed in. End whatever you don’t recognise."),
    current: Text("This browser"),
    since: Text("Signed in"),
    seen: Text("Last used"),
    address: Text("From"),
    end: Text("End session"),
    end_label: Text("End session of {}"),
    end_all: Text("Sign out everywhere"),
    end_all_lead: Text("Ends every session, this one too."),
    end_others: Text("End all other sessions"),
    end_others_lead: Text("You stay signed in here."),
    done_others: Text("All other sessions have ended."),
    done_ended: Text("The session has ended. That browser has to sign in again."),
    browser_at: Text("{} on {}"),
    some_browser: Text("A browser"),
    some_program: Text("A program"),
    unknown_browser: Text("Unknown browser"),
};

const ACTIVITY: ActivityWords = ActivityWords {
    title: Text("Activity"),
    lead: Text("What lately happened to your account. If something here wasn’t you, tell your administrator."),
    empty: Text("Nothing yet. Sign-ins and changes of your account will stand here."),
    signed_in: Text("Signed in ({})"),
    confirmed: Text("Confirmed it’s you ({})"),
    refused: Text("A sign-in was refused"),
    refused_with: Text("Refused: {}"),
    recovery_used: Text("A recovery code was used"),
    reused: Text("A session was ended, since somebody else may have used it"),
    signed_out: Text("Signed out"),
    signed_out_everywhere: Text("Signed out everywhere"),
    session_ended: Text("A session was ended"),
    joined: Text("Account opened"),
    linked: Text("Linked to {}"),
    unlinked: Text("No longer linked to {}"),
    suspended: Text("Account suspended"),
    activated: Text("Account active again"),
    reset: Text("Account reset, to start over"),
    invited: Text("Invitation made"),
    attributes: Text("What is said of you changed"),
    link_made: Text("Link made, to add a way to sign in"),
    link_used: Text("Link used, to add a way to sign in"),
    groups: Text("Your groups changed"),
    added: Text("Added: {}"),
    removed: Text("Removed: {}"),
    changed: Text("Changed: {}"),
    times: Text("{} times"),
    by_administrator: Text("By an administrator"),
    pages: Text("Pages"),
    newer: Text("Newer"),
    older: Text("Older"),
};

const PORTAL: PortalWords = PortalWords {
    title: Text("Apps"),
    greeting: Text("Hello, {}"),
    signed_in: Text("Signed in"),
    empty_title: Text("No apps yet"),
    empty: Text("Nothing is open to you here so far. Ask your administrator to add you to a group that has an app."),
    asks_more: Text("Asks you to confirm it’s you"),
    offer_title: Text("Add a second way to sign in"),
    offer: Text("Some apps ask for a second proof. With a passkey that is one touch."),
    offer_submit: Text("Set it up"),
    offer_needs_link: Text("Some apps ask for a second proof. To add one, ask your administrator for a link."),
    recovery_used: Text("A recovery code of yours was used {}"),
    recovery_used_hint: Text(
        "If that wasn’t you, sign out everywhere, change your ways to sign in and tell your administrator.",
    ),
    copied: Text("Somebody may hold a copy of “{}”"),
    copied_hint: Text(
        "It was shown with a count that lies behind the last one, and was refused. Remove it, add another, and tell your administrator.",
    ),
};

const SIGNED_OUT: SignedOutWords = SignedOutWords {
    title: Text("You are signed out"),
    lead: Text("Your session in this browser has ended, in every app of {}."),
    title_everywhere: Text("You are signed out everywhere"),
    lead_everywhere: Text("All your sessions at {} have ended, on every device."),
    again: Text("Sign in again"),
    close: Text("On a shared computer, close the browser too."),
};

const FAILURE_STEPS: FailureSteps = FailureSteps {
    sign_in: Text("Sign in"),
    confirm: Text("Confirm it’s you"),
    start_again: Text("Start again"),
    another_account: Text("Use another account"),
    add_factor: Text("Add a second factor"),
    factor_may_help: Text("Add a second factor to your account first: this may ask for one."),
    apps: Text("Go to my apps"),
};

const PROBLEM: ProblemWords = ProblemWords {
    bad_email: Text("Enter an e-mail address, such as name@example.com."),
    wrong_password: Text("E-mail address and password don’t belong together. Check both and try again."),
    wrong_code: Text("That code is not right, or was already used. Wait for the next one and type it."),
    wrong_mail_code: Text("That code is not right. Type the one from the newest e-mail."),
    spent_mail_code: Text("That code is good no more. Ask for a new one."),
    wrong_recovery: Text("That code is not right, or was already used. Check it, or use another of your list."),
    wrong_passkey: Text("That passkey is not known here. Use another, or another way to sign in."),
    too_many: Text("Too many tries. Wait {}, then try again."),
    password_short: Text("Use at least {} characters."),
    password_long: Text("Use at most {} characters."),
    password_common: Text("Many people use this password, so it is tried first. Choose another."),
    password_personal: Text("This password is made of your name or address, so it is easily guessed. Choose another."),
    passwords_differ: Text("The two passwords differ. Type the same one twice."),
    bad_name: Text("Give it a name of 1 to 80 characters."),
    last_factor: Text("You need this to sign in. Add another way first, then remove it."),
    already_there: Text("This is set up already."),
    expired: Text("That took too long. Start this step again."),
    try_again: Text("Something went wrong on our side. Try again in a moment."),
};

const TIME: TimeWords = TimeWords {
    now: Text("just now"),
    minute_ago: Text("1 minute ago"),
    minutes_ago: Text("{} minutes ago"),
    hour_ago: Text("1 hour ago"),
    hours_ago: Text("{} hours ago"),
    day_ago: Text("1 day ago"),
    days_ago: Text("{} days ago"),
    second: Text("1 second"),
    seconds: Text("{} seconds"),
    minute: Text("1 minute"),
    minutes: Text("{} minutes"),
    hour: Text("1 hour"),
    hours: Text("{} hours"),
};
