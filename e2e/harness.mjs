// Defines a test for a shop, in a window of its own.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, visit } from './browser.mjs';

if (!process.env.E2E_SHOPS) throw new Error('no shops are open: run `make test-browser`, or `node run.mjs FILE`');
export const shops = JSON.parse(readFileSync(process.env.E2E_SHOPS, 'utf8'));

export let browser;
before(async () => (browser = await launch()));
after(async () => browser?.close());

async function pictured(name, page, error) {
  const folder = process.env.E2E_FAILURES ?? '/tmp/soonshop-e2e-failures';
  mkdirSync(folder, { recursive: true });
  const picture = join(folder, `${name.replace(/\W+/g, '-').slice(0, 90)}.png`);
  await page.screenshot({ path: picture, fullPage: true }).catch(() => {});
  error.message += `\n(what the window showed: ${picture})`;
  return error;
}

// The pages are the same on every backend, and what the backends answer is compared elsewhere. So the tests take the shops
// by turns, and `make test-browser` (E2E_EVERYWHERE=1) runs each of them on every shop. Files begin with different ones.
let turn = basename(process.argv[1] ?? '').length;
export const byTurns = (on) => (process.env.E2E_EVERYWHERE ? on : on.slice(turn++ % on.length).slice(0, 1));

// A test on each of these shops, or on the one whose turn it is. `body` gets a signed-in window and the shop; pages that misbehave fail it.
export function each(name, body, { on = shops, ...options } = {}) {
  for (const shop of byTurns(on)) {
    const title = `${name} (${shop.store})`;
    test(title, async () => {
      const window = await visit(browser, shop, options);
      try {
        await body(window, shop);
        assert.deepEqual(window.watched, []);
      } catch (error) {
        throw await pictured(title, window.page, error);
      } finally {
        await window.context.close();
      }
    });
  }
}

export const check = (number, name, body, options) => each(`check ${number}: ${name}`, body, options);

// The assertion must fail when something is wrong.
export async function mustFail(what, assertion) {
  await assert.rejects(async () => assertion(), assert.AssertionError, `nobody noticed ${what}`);
}

export const rows = (page) => page.locator('main ol.trail > li');

// The events of a page, each without those below it.
export const events = (page) => page.locator('main [data-position]');

// The changed fields that a row shows: three at most, top-level fields first, and none that was merely empty.
export function firstFields(changes) {
  const says = (value) => value !== undefined && (typeof value !== 'object' || Object.keys(value).length > 0);
  const depth = ({ path }) => path.split('/').length;
  return (changes ?? []).filter(({ before, after }) => says(before) || says(after))
    .sort((a, b) => depth(a) - depth(b)).slice(0, 3).map(({ path }) => path);
}
