// Business time: what happened in 2011 and is recorded today is found, sorted and shown by either time.
import assert from 'node:assert/strict';
import { see, violations } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { eventually, get, post } from './shop.mjs';

const THEN = '2011-01-04T08:26:00Z';

check(3, 'what happened in 2011 is found, sorted and shown by business time', async ({ page }, shop) => {
  const { json } = await post(shop, '/users', { name: 'Old Quux', occurred_at: THEN }, { as: 'operator' });
  const found = async (query) => (await get(shop, `/api/audit/timeline?${query}`, { as: 'support' })).json.items;
  await eventually('it is in the trail', async () => (await found(`id=${json.id}`)).length === 1);

  await see(page, shop, '/audit/timeline?lang=en');
  await page.locator('input[name=occurred_from]').fill('2011-01-01');
  await page.locator('input[name=occurred_to]').fill('2011-03-01');
  await page.locator('select[name=sort]').selectOption('occurred');
  await page.locator('form.search button').click();
  await page.waitForURL(/occurred_from=2011-01-01/);
  const row = rows(page).filter({ has: page.locator(`a[href*="${json.id}"]`) });
  assert.equal(await row.count(), 1);
  const both = async () => assert.match(await row.innerText(), /happened 2011-01-04 08:26:00\.000 UTC[\s\S]*recorded 20[2-9]\d-/);
  await both();
  assert.equal(await page.locator('[data-live]').count(), 0, 'a list by business time cannot be followed live');
  assert.deepEqual(await violations(page), []);
  await row.locator('.happened').evaluate((time) => time.remove());
  await mustFail('a row without its business time', both);

  await see(page, shop, '/audit/timeline?sort=occurred&order=asc&limit=1&lang=zh-CN');
  const oldest = async () => assert.match(await rows(page).first().innerText(), /发生于 2011-01-04 08:26/);
  await oldest();
  await page.locator('a[rel=next]').click();
  await page.waitForURL(/past=\d+/);
  await mustFail('a later page that begins anew', oldest);

  await see(page, shop, `/audit/a/user/${json.id}?lang=en`);
  assert.match(await rows(page).first().innerText(), /happened 2011-01-04 08:26/);
  assert.deepEqual((await found('q=occurred:2011-01..2011-03')).map((item) => item.aggregate_id).includes(json.id), true);
});
