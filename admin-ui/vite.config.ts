/// <reference types="vitest/config" />
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { pack } from "./app/build/pack.ts";

export default defineConfig({
  base: "/admin/",
  plugins: [svelte(), pack()],
  build: {
    target: "es2023",
    cssTarget: ["chrome111", "safari16.4", "firefox113"],
    outDir: "dist",
    emptyOutDir: true,
    // A data: URL for a small file would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: { "/api": "http://sign-in.acme.localhost:8080" },
    fs: { allow: [".."] },
  },
  test: { include: ["app/**/*.test.ts"], environment: "node" },
});
