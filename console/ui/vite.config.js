import { gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';

/** What a browser must fetch before the first page works, compressed. */
const SHELL_MAX_GZIP_BYTES = 60_000;

/** Fails the build when the shell outgrows its budget, and leaves the figure beside the files. */
function shellBudget() {
  return {
    name: 'shell-budget',
    apply: 'build',
    generateBundle(_, bundle) {
      // Pages that are imported when they are opened, and what only they need, are no part of the shell.
      const shell = new Set();
      const add = (name) => {
        if (shell.has(name)) return;
        shell.add(name);
        bundle[name]?.imports?.forEach(add);
      };
      for (const file of Object.values(bundle)) if (file.isEntry || file.fileName.endsWith('.css')) add(file.fileName);
      let total = 0;
      for (const file of [...shell].map((name) => bundle[name])) {
        total += gzipSync(file.type === 'chunk' ? file.code : file.source, { level: 9 }).length;
      }
      if (total > SHELL_MAX_GZIP_BYTES) {
        this.error(`scripts and styles are ${total} bytes gzipped, the budget is ${SHELL_MAX_GZIP_BYTES}`);
      }
      this.info(`scripts and styles: ${total} of at most ${SHELL_MAX_GZIP_BYTES} bytes gzipped`);
      this.emitFile({ type: 'asset', fileName: 'shell-size.txt', source: String(total) });
    },
  };
}

export default defineConfig({
  plugins: [solid(), shellBudget()],
  build: {
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    // The policy forbids inline scripts, and a data URI would not be cached by itself.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': process.env.BELAY_CONSOLE ?? 'http://localhost:8080' },
  },
});
