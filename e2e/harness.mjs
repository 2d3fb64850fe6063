// Defines a test once for both shops, each time in a window of its own.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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

// A test on each of these shops. `body` gets a signed-in window and the shop; pages that misbehave fail it.
export function each(name, body, { on = shops, ...options } = {}) {
  for (const shop of on) {
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
