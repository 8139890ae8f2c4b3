// Passkeys, the one thing on these pages that needs a script. Everything else works without it.
//
// A `form[data-passkey]` names what to do (`get`, `conditional`: get, and offer it in the e-mail field too, `create`), where the
// options come from (`data-options`) and where the answer goes (`action`). Its fields travel with both:
//
//   POST options  {…fields}                       → 200 {publicKey: {…}, …more}   (WebAuthn level 3, sections 5.1.8, 5.1.9)
//   POST action   {…fields, …more, credential}    → 200 {location: "/…"}
//
// A refusal is problem+json: its `detail` (else the page's own words) is shown, its `location` followed if there is one.

/** The conditional request under way, if any, and its end: a browser runs one request at a time. */
let waiting = null;

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!supported()) {
    say(form, "unsupported");
    form.querySelector(".button").disabled = true;
    continue;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run(form);
  });
  if (form.dataset.passkey === "conditional") {
    const abort = new AbortController();
    waiting = { abort, ended: offer(form, abort.signal) };
  }
}

/** Runs the ceremony that the person asked for, and says how it went. */
async function run(form) {
  const button = form.querySelector(".button");
  button.disabled = true;
  say(form, "waiting");
  try {
    if (await stopped()) return;
    const options = await post(form.dataset.options, fields(form));
    const credential = form.dataset.passkey === "create" ? await create(options) : await get(options);
    await finish(form, options, credential);
  } catch (error) {
    explain(form, error);
    button.disabled = false;
    button.focus();
  }
}

/**
 * Gives the conditional request up and waits for its end, since the next one would be refused before it, and an answer to it that
 * comes late would take the next one's place. Tells whether a passkey was chosen there and leads on already.
 */
async function stopped() {
  const before = waiting;
  waiting = null;
  before?.abort.abort();
  return (await before?.ended) ?? false;
}

/** Lets the browser offer a passkey in the e-mail field. Silent: whoever types an address never hears of it. */
async function offer(form, signal) {
  try {
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.()) || signal.aborted) return false;
    const options = await post(form.dataset.options, fields(form), signal);
    if (signal.aborted) return false;
    const credential = await get(options, { mediation: "conditional", signal });
    await finish(form, options, credential);
    return true;
  } catch (error) {
    if (error instanceof Refused && error.answered) explain(form, error);
    return false;
  }
}

function get(options, how = {}) {
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey), ...how });
}

function create(options) {
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey) });
}

async function finish(form, { publicKey, ...more }, credential) {
  if (!credential) throw new DOMException("no credential", "NotAllowedError");
  try {
    const answer = await post(form.getAttribute("action"), { ...fields(form), ...more, credential: credential.toJSON() });
    go(answer.location);
  } catch (error) {
    if (error instanceof Refused) error.answered = true;
    throw error;
  }
}

/** Sends JSON and reads JSON; a refusal becomes an error with the server's own words. */
async function post(url, body, signal) {
  const response = await fetch(url, {
    signal,
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json, application/problem+json" },
    body: JSON.stringify(body),
    credentials: "same-origin",
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Refused(answer);
}

class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "");
    this.location = problem.location;
    this.answered = false;
  }
}

function explain(form, error) {
  if (error instanceof Refused && error.location) return go(error.location);
  if (error instanceof Refused && error.message) return say(form, null, error.message);
  if (error instanceof TypeError) return say(form, "retry");
  if (error?.name === "InvalidStateError") return say(form, "already");
  if (error?.name === "NotAllowedError" || error?.name === "AbortError") return say(form, "cancelled");
  say(form, "failed");
}

function say(form, word, text = form.dataset[word]) {
  form.querySelector(".status").textContent = text;
}

/** What a form sends, with the boxes that stand once on the page and hold for every way on it. */
function fields(form) {
  const shared = [...document.querySelectorAll("[data-shared]:checked")].map((box) => [box.name, box.value]);
  return Object.fromEntries([...shared, ...new FormData(form)]);
}

/** Follows an address of the answer: a page, never a script. */
function go(address) {
  const url = new URL(address, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.assign(url);
}

function supported() {
  return Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON && PublicKeyCredential.parseCreationOptionsFromJSON);
}
