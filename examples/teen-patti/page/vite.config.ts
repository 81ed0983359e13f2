/**
 * Builds the page. `holdfast/client` resolves to the TypeScript sources, so that no build of the platform is needed first.
 *
 * Invariant: the output runs under `script-src 'self'`: no inline script, no eval, nothing from elsewhere.
 */
import { defineConfig } from "vite";

// Vite reads the default export.
// oxlint-disable-next-line import/no-default-export
export default defineConfig({
  root: import.meta.dirname,
  resolve: { conditions: ["source", "module", "browser", "import", "default"] },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
