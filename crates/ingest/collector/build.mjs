// Makes the files that anole serves out of `src`: `node build.mjs`. With `--check` it only says whether they are what the
// sources make.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = new URL('.', import.meta.url);
const served = new URL('../src/collector/', here);
const VERSION = '1.0.0';
const check = process.argv.includes('--check');
const stale = [];

for (const [entry, format, name] of [['script', 'iife', 'anole.js'], ['module', 'esm', 'anole.mjs']]) {
  const made = await build({
    entryPoints: [fileURLToPath(new URL(`src/${entry}.js`, here))],
    bundle: true,
    minify: true,
    write: false,
    format,
    target: 'es2020',
    charset: 'utf8',
    define: { VERSION: JSON.stringify(VERSION) },
    banner: { js: `/*! anole ${VERSION} */` },
  });
  const text = made.outputFiles[0].text;
  const file = new URL(name, served);
  if (!check) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) stale.push(name);
}
if (stale.length > 0) {
  console.error(`${stale.join(' and ')} are not what the sources make: run \`node build.mjs\` in crates/ingest/collector`);
  process.exitCode = 1;
}
