// Runs the browser tests, one file after the other, on two shops that are started once: `node run.mjs [FILE…]`.
import { readdirSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { open, remove, STORES } from './shop.mjs';
import { seed } from './seed.mjs';

const here = new URL('.', import.meta.url).pathname;
const files = process.argv.length > 2 ? process.argv.slice(2) : readdirSync(here).filter((name) => name.endsWith('.test.mjs')).sort();
const shops = [];
const folder = mkdtempSync(join(tmpdir(), 'soonshop-e2e-run-'));

async function close() {
  rmSync(folder, { recursive: true, force: true });
  await Promise.all(shops.splice(0).map((shop) => remove(shop).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  })));
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => close().finally(() => process.exit(1)));
}

const begun = Date.now();
const seconds = () => ((Date.now() - begun) / 1000).toFixed(1);
try {
  for (const store of STORES) {
    const shop = await open(store);
    shops.push(shop);
    await seed(shop);
    console.log(`${store}: ${shop.origin} after ${seconds()} s`);
  }
  process.env.E2E_SHOPS = join(folder, 'shops.json');
  writeFileSync(process.env.E2E_SHOPS, JSON.stringify(shops), { mode: 0o600 });
  await new Promise((resolve, reject) => {
    const tests = run({ files: files.map((name) => join(here, name)), concurrency: 1, timeout: 300_000 });
    tests.on('test:fail', () => (process.exitCode = 1));
    tests.on('error', reject).on('end', resolve);
    tests.compose(new spec()).pipe(process.stdout);
  });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await close();
  console.log(`browser tests: ${seconds()} s`);
  if (process.env.E2E_TIME) writeFileSync(process.env.E2E_TIME, String(Math.round(seconds())));
}
