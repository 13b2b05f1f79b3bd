import { gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';

/** What a browser must fetch before the first page works, compressed. */
const SHELL_MAX_GZIP_BYTES = 60_000;

/** The scripts that are fetched at once: those of the entry, and the larger of the languages. */
function shell(bundle) {
  const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
  const names = new Set(chunks.filter((chunk) => chunk.isEntry).map((chunk) => chunk.fileName));
  for (const name of names) for (const imported of bundle[name].imports) names.add(imported);
  const languages = chunks.filter((chunk) => /\/text\/(en|zh)\.ts$/.test(chunk.facadeModuleId ?? ''));
  return { scripts: [...names].map((name) => bundle[name].code), languages: languages.map((chunk) => chunk.code) };
}

/** Fails the build when the shell outgrows its budget, and leaves the figure beside the files. */
function shellBudget() {
  const size = (text) => gzipSync(text, { level: 9 }).length;
  return {
    name: 'shell-budget',
    apply: 'build',
    generateBundle(_, bundle) {
      const { scripts, languages } = shell(bundle);
      if (scripts.length === 0 || languages.length !== 2) this.error('the budget does not find the scripts that it counts');
      const styles = Object.values(bundle).filter((file) => file.fileName.endsWith('.css')).map((file) => file.source);
      const total = [...scripts, ...styles].map(size).reduce((sum, one) => sum + one, 0) + Math.max(...languages.map(size));
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
