// What the admin API says, as the gateway writes it. Times are RFC 3339 texts.

export interface Me {
  user: { id: string; name: string; email: string };
  tenant: { id: string; name: string; wants_second_factor: boolean };
  assurance: number;
  factors: string[];
  signed_in_at: string;
  session_id: string;
}

export interface Overview {
  people: { active: number; invited: number; suspended: number; without_second_factor: number };
  sessions: number;
  apps: number;
  policy: { version: number; author: string | null; at: string | null; files: number; tests: number };
  /** The last 24 hours, by how requests ended. */
  last_day: { allowed: number; denied: number; challenged: number; faulted: number };
}

export type UserStatus = "active" | "invited" | "suspended";

export interface User {
  id: string;
  name: string;
  email: string;
  status: UserStatus;
  groups: string[];
  attributes: Record<string, string | number | boolean | string[]>;
  factors: string[];
  /** Providers at which the user has an account. */
  providers: string[];
  /** Whether the tenant wants a second factor that the user has not. */
  lacks_second_factor: boolean;
  created_at: string;
  last_seen_at: string | null;
}

export interface Factor {
  id: string;
  kind: string;
  name: string | null;
  created_at: string;
  last_used_at: string | null;
}

/** An account at a provider by which a person signs in. */
export interface Account {
  id: string;
  provider: string;
  subject: string;
  own: boolean;
  linked_at: string;
  last_used_at: string | null;
}

export interface Session {
  id: string;
  started_at: string;
  last_seen_at: string;
  assurance: number;
  factors: string[];
  client: string | null;
  user_agent: string | null;
}

export interface UserDetails extends User {
  factor_list: Factor[];
  accounts: Account[];
  sessions: Session[];
}

export interface Group {
  id: string;
  name: string;
  parents?: string[];
  members?: number;
}

export interface Invited {
  user: User;
  invitation_url: string;
  mailed: boolean;
}

export interface FactorLink {
  url: string;
  mailed: boolean;
}

export interface App {
  id: string;
  name: string;
  description?: string;
  hosts: string[];
  claims?: string[];
  assertion?: "session" | "request";
  audit?: "grouped" | "before";
  encoded_slashes?: boolean;
  in_portal?: boolean;
  start_path?: string;
  upstream?: {
    url?: string;
    urls?: string[];
    spiffe_id?: string;
    ca_file?: string;
    protocol?: "auto" | "http1" | "http2";
    connect_seconds?: number;
    answer_seconds?: number;
  } | null;
  forward_auth?: { dialect: "nginx" | "traefik" | "caddy" | "haproxy" | "envoy"; oauth2_proxy?: boolean } | null;
  headers?: Record<string, string>;
  unmatched?: "app" | "deny";
  websocket_origins?: string[];
  back_channel_logout?: string;
  rewrite?: { strip_prefix?: string; add_prefix?: string; request?: HeaderRewrite; response?: HeaderRewrite };
  cors?: { origins: string[]; methods?: string[]; headers?: string[]; exposed?: string[]; credentials?: boolean; max_age?: number };
  hardening?: { on?: boolean; content_type_options?: boolean; referrer_policy?: boolean; frame_options?: boolean; cache_control?: boolean; hide_server?: boolean };
  resources?: { pattern: string; type: string }[];
  actions?: { method: string; pattern: string; action: string }[];
  answers?: { method: string; pattern: string; status?: number; redirect?: string; headers?: Record<string, string>; body?: string }[];
}

/** Headers that are set to a fixed value, and headers that are removed. */
export interface HeaderRewrite {
  set?: Record<string, string>;
  remove?: string[];
}

export type Verdict = "allow" | "deny" | "challenge";

export interface Condition {
  text: string;
  holds: boolean | null;
  saw: { path: string; value: unknown }[];
}

export interface DeterminingPolicy {
  id: string;
  effect: "permit" | "forbid";
  layer: string;
  text: string;
  determined: boolean;
  scope_matches: boolean;
  conditions: Condition[];
}

export interface Explanation {
  caller: { kind: string; label: string; email: string | null; groups: string[] };
  action: string;
  app: string;
  resource: { type: string; id: string; attributes: Record<string, unknown> };
  context: Record<string, unknown>;
  verdict: Verdict;
  challenge: { need: string | number } | null;
  reason_text: string;
  policies: DeterminingPolicy[];
  errors: (string | { policy?: string; message: string })[];
  /** What is no longer as it was when the decision was made. */
  changed_since?: string[];
}

export interface PolicyText {
  name: string;
  text: string;
}

export interface TestSpec {
  name: string;
  app: string;
  request: string;
  /** A person by e-mail address, or a service account by name. */
  caller?: { user?: string; service?: string; groups?: string[] } | null;
  /** What the token that comes with the request is good for. */
  scope?: string[] | null;
  client_id?: string | null;
  assurance?: number | null;
  signed_in_minutes_ago?: number | null;
  client?: string | null;
  expect: Verdict;
}

export interface PolicySet {
  policies: PolicyText[];
  tests: TestSpec[];
}

export interface Version {
  version: number;
  hash: string;
  author: string;
  at: string;
  note: string;
  active: boolean;
}

export type VersionedSet = Omit<Version, "active"> & PolicySet;

export interface Diagnostic {
  source: string;
  line: number | null;
  column: number | null;
  span: [number, number] | null;
  message: string;
  help: string | null;
}

export interface TestOutcome {
  name: string;
  passed: boolean;
  expected: Verdict;
  got: Verdict | null;
  determined_by: string[];
  message: string | null;
}

export interface Checked {
  diagnostics: Diagnostic[];
  tests: TestOutcome[];
}

/** An entry as it stands in the log, with its place there; `event.kind` says which facts `event` holds. */
export interface Entry {
  id: string;
  seq?: number;
  at: string;
  tenant?: string | null;
  actor: { kind: string; id?: string; email?: string; name?: string; spiffe_id?: string; groups?: string[] };
  session: string | null;
  client: { address: string; agent: string | null } | null;
  event: EntryEvent;
}

export interface EntryEvent {
  kind: string;
  app?: string | null;
  method?: string;
  host?: string;
  path?: string;
  status?: number;
  reason?: string | null;
  micros?: number;
  detail?: string | null;
  decision?: { verdict: Verdict; action: string; determined_by: string[]; policy: { version: number; hash: string } } | null;
  user?: { id: string; email: string } | string | null;
  [fact: string]: unknown;
}

export interface LoggedDecision {
  entry: Entry;
  /** The other entry of the same request, where its app wants one before the request is forwarded. */
  other?: Entry;
  /** Why a decision that was made cannot be told again. */
  untold?: string;
  explanation: Explanation | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface ProblemBody {
  type?: string;
  title?: string;
  detail?: string;
  status?: number;
  reason?: string;
  request_id?: string;
  challenge?: { need: string | number; url: string };
  diagnostics?: Diagnostic[];
  tests?: TestOutcome[];
}
