// After the build: each file also in Brotli and gzip, and a list of them all with media type and tag for the gateway,
// which embeds them as they are and compresses nothing itself.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const MIME: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

function packOne(root: string, file: string): string {
  const path = relative(root, file).replaceAll("\\", "/");
  const mime = MIME[path.slice(path.lastIndexOf(".") + 1)];
  if (!mime) throw new Error(`no media type is known for ${path}`);
  const bytes = readFileSync(file);
  const packed = {
    br: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    gz: gzipSync(bytes, { level: 9 }),
  };
  for (const [ending, small] of Object.entries(packed)) {
    if (small.length < bytes.length) writeFileSync(`${file}.${ending}`, small);
  }
  return `${path}\t${mime}\t${createHash("sha256").update(bytes).digest("base64url").slice(0, 24)}`;
}

/** Writes the compressed forms and `files.tsv` into the folder that was built. */
export function pack(): Plugin {
  let root = "";
  return {
    name: "pack",
    apply: "build",
    configResolved: (config) => {
      root = config.build.outDir;
    },
    closeBundle: () => {
      const rows = files(root).map((file) => packOne(root, file));
      // Sorted by code unit, as the gateway's table must be.
      writeFileSync(join(root, "files.tsv"), rows.toSorted((a, b) => (a < b ? -1 : 1)).join("\n"));
    },
  };
}
