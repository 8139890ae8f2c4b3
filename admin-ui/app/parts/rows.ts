// Arrow keys walk a table's rows; Enter opens the one in focus, as any link.
import type { Attachment } from "svelte/attachments";

export const rows: Attachment<HTMLElement> = (body) => {
  const walk = (event: KeyboardEvent) => {
    const links = [...body.querySelectorAll<HTMLElement>("a.opens")];
    const at = links.findIndex((link) => link === document.activeElement);
    const wanted = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || wanted === undefined) return;
    event.preventDefault();
    links[Math.min(Math.max(wanted, 0), links.length - 1)]?.focus();
  };
  body.addEventListener("keydown", walk);
  return () => body.removeEventListener("keydown", walk);
};
