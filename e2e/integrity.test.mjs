// Checks of the seals: green only where intactness is proved, and red at the exact position.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { see } from './browser.mjs';
import { check, mustFail } from './harness.mjs';
import { eventually, open, post, remove, replayTool, soonshop, sql, STORES } from './shop.mjs';

const own = {};
before(async () => {
  for (const store of [...STORES, 'apart']) own[store] = await open(store);
});
after(async () => Promise.all(Object.values(own).map((shop) => remove(shop))));
const on = STORES.map((store) => ({ store, get origin() { return own[store].origin; }, get keys() { return own[store].keys; } }));

async function verify(page, shop, from = 1) {
  await see(page, shop, '/audit/integrity?lang=en');
  const form = page.locator('form[action="/audit/integrity"]:has(input[name=of][value=log])');
  await form.locator('input[name=from]').fill(String(from));
  await form.locator('button').click();
  await page.locator('.verdict').waitFor();
  // Without its style sheet a text has no line breaks.
  await page.waitForLoadState();
  return page.locator('.verdict').innerText();
}

const green = async (page) => assert.equal(await page.locator('.verdict .well').count(), 1, await page.locator('.verdict').innerText());

check(11, 'an intact log is green, and one changed byte is red at its position, everywhere', async ({ page }, { store }) => {
  const shop = own[store];
  const head = (await post(shop, '/products', { name: 'Anvil', variants: [{ sku: 'ANVIL' }] })).json.position;
  await eventually('all of it is sealed', async () => {
    const said = await verify(page, shop);
    if (!new RegExp(`1…${head}\\b`).test(said)) throw new Error(said);
    return true;
  });
  await green(page);
  const said = await page.locator('.verdict').innerText();
  assert.match(said, new RegExp(`${head} rows`));
  assert.match(said, /\d+(\.\d+)? m?s/);
  const { stdout: keys } = await soonshop(shop, 'seals', 'key');
  const [fingerprint] = said.match(/[0-9a-f]{2}(:?[0-9a-f]{2}){7,}/);
  assert.ok(keys.includes(fingerprint), `${fingerprint} is not the shop's key: ${keys}`);
  const known = keys.match(/[A-Za-z0-9+/]{43}=/)[0];

  // An empty range proves nothing.
  assert.match(await verify(page, shop, head + 50), /Nothing to check/);
  await mustFail('green without events', () => green(page));

  const type = shop.database ? '::json' : '';
  await sql(shop, 'log', `UPDATE events SET payload = replace(CAST(payload AS text), 'Anvil', 'Anvin')${type} WHERE position = ${head};`);
  const red = await verify(page, shop);
  assert.match(red, new RegExp(`#${head}\\b`), red);
  await mustFail('green on a changed event', () => green(page));
  // The alarm stays on every page, whatever else is checked.
  await verify(page, shop, head + 50);
  const alarmed = async () => assert.equal(await page.locator('.alarm', { hasText: 'Tampering was found.' }).count(), 1);
  for (const path of ['/audit', '/audit/timeline', '/audit/projections', '/audit/parked', '/', '/audit/keys']) {
    await see(page, shop, `${path}?lang=en`);
    await alarmed();
  }
  // Nothing asks for the last of them again.
  await page.locator('.alarm').evaluate((alarm) => alarm.remove());
  await mustFail('a page without its alarm', alarmed);
  assert.equal((await fetch(`${shop.origin}/health/audit`)).status, 503);
  for (const result of [await soonshop(shop, 'doctor'), await replayTool(shop, 'status'), await replayTool(shop, 'doctor')]) {
    assert.equal(result.code, 3, result.stdout);
  }
  for (const result of [await soonshop(shop, 'seals', 'check', '--pubkey', known), await replayTool(shop, 'check', '--pubkey', known)]) {
    assert.equal(result.code, 3, result.stderr);
    assert.match(result.stdout + result.stderr, new RegExp(`:${head}\\b`));
  }
  const file = join(shop.folder, 'audit.seals');
  assert.equal((await soonshop(shop, 'seals', 'export', file)).code, 0);
  const offline = await soonshop(shop, 'seals', 'check', '--offline', file, '--pubkey', known);
  assert.equal(offline.code, 3, offline.stdout);
  assert.match(offline.stdout, new RegExp(`:${head}\\b`));
}, { on, role: 'auditor' });

check(11, 'an unsealed last event is not proved, and its loss is reported', async ({ page }) => {
  const shop = own.apart;
  const add = async (name) => (await post(shop, '/products', { name, variants: [{ sku: name.toUpperCase() }] })).json.position;
  const sealed = await add('Bellows');
  await eventually('all of it is sealed', async () => new RegExp(`1…${sealed}\\b`).test(await verify(page, shop)));
  await green(page);
  // The sealer is stopped: nothing new is sealed.
  await shop.processes.find((one) => one.args.includes('reactor')).stop('SIGKILL');
  const last = await add('Tongs');
  const unprovable = async (said) => {
    const text = await verify(page, shop);
    assert.match(text, new RegExp(`The events after the last seal are not sealed[^]*1…${sealed}\\b[^]*${said}`), text);
    await mustFail('green on an unproved event', () => green(page));
  };
  await unprovable('1 event is not sealed yet');
  await eventually('others have seen it', async () =>
    (await (await fetch(`${shop.origin}/health/audit`)).json()).items.every((item) => item.lag_events === 0));
  await sql(shop, 'log', `DELETE FROM events WHERE position = ${last};`);
  const red = await verify(page, shop);
  assert.match(red, new RegExp(`Tampering found[^]*#${last} the events up to position ${last} were there before, and are missing`), red);
  assert.doesNotMatch(red, /Intact|sealed position/);
  await mustFail('green on a missing event', () => green(page));
  for (const result of [await soonshop(shop, 'seals', 'check'), await replayTool(shop, 'check')]) {
    assert.equal(result.code, 3, result.stdout);
    assert.doesNotMatch(result.stdout, /intact/i);
  }
  // Somebody says why it is no alarm: it is not proved by that.
  const done = await replayTool(shop, 'acknowledge', '--from', String(last), '--reason', 'deleted by a test');
  assert.equal(done.code, 0, done.stderr);
  await see(page, shop, '/audit/integrity?lang=en');
  assert.equal(await page.locator('.alarm').count(), 0);
  const known = await page.locator('.ranges').first().innerText();
  assert.match(known, /Acknowledged, not proved[^]*hidden, reveal with a reason/, known);
}, { on: [{ store: 'apart', get origin() { return own.apart.origin; }, get keys() { return own.apart.keys; } }], role: 'auditor' });
