// A user agent in words: enough to tell one's own browsers apart, no more.

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrom(e|ium)\//, "Chrome"],
  [/Safari\//, "Safari"],
];

const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/Windows/, "Windows"],
  [/Linux|X11/, "Linux"],
];

/** `Firefox on Linux`; a program's own name where it is no browser. */
export function browser(agent: string | null | undefined): string {
  if (!agent) return "Unknown browser";
  // The gateway keeps sessions' browsers in words already.
  if (!/[/(]/.test(agent)) return agent;
  const name = BROWSERS.find(([mark]) => mark.test(agent))?.[1];
  const system = SYSTEMS.find(([mark]) => mark.test(agent))?.[1];
  if (!name) return agent.split(/[\s(]/)[0] || "Unknown browser";
  return system ? `${name} on ${system}` : name;
}
