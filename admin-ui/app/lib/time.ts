// Times as people read them: how long ago, with the exact moment in UTC beside.

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
  ["week", 604_800],
  ["month", 2_629_746],
  ["year", 31_556_952],
];

const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" });

/** `3 minutes ago`, `in 2 days`, `just now`. */
export function relative(at: string, now: number): string {
  const moment = Date.parse(at);
  if (Number.isNaN(moment)) return at;
  const seconds = (moment - now) / 1000;
  if (Math.abs(seconds) < 45) return "just now";
  const [unit, size] = STEPS.findLast(([, size]) => Math.abs(seconds) >= size * 0.9) ?? ["minute", 60];
  return words.format(Math.round(seconds / size), unit);
}

/** `2026-11-22 12:24:20 UTC`. */
export function exact(at: string): string {
  const moment = new Date(at);
  return Number.isNaN(moment.getTime()) ? at : `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
