// The timeline by commands: effects are unfolded below a row by mouse, by keyboard and without scripts.
import assert from 'node:assert/strict';
import { see, violations } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { get } from './shop.mjs';

const all = (page) => page.locator('main ol.trail [data-position]').evaluateAll((found) => found.map((one) => Number(one.dataset.position)));
const ascending = (numbers) => [...numbers].sort((a, b) => a - b);

check(5, 'rows by command hold every event once, page by page, also without scripts', async ({ page }, shop) => {
  const search = 'q=-type:ProductPriceChanged+-chan:job';
  const wanted = [];
  for (let before = ''; before !== null;) {
    const { json } = await get(shop, `/api/audit/timeline?${search}&limit=200${before}`, { as: 'support' });
    wanted.push(...json.items.map((item) => item.position));
    before = json.next === null ? null : `&before=${json.next}`;
  }
  const seen = [];
  await see(page, shop, `/audit/timeline?${search}&group=1&limit=7&lang=en`);
  for (;;) {
    seen.push(...await all(page));
    const further = page.locator('a[rel=next]');
    if (await further.count() === 0) break;
    await further.click();
    assert.ok(await page.locator('form.search input[name=group]').isChecked(), 'it stays in the address');
  }
  const each = () => assert.deepEqual(ascending(seen), ascending(wanted));
  each();
  assert.equal(Number(await page.locator('.count strong').innerText()), wanted.length, 'the count is of events');
  seen.push(seen[0]);
  await mustFail('an event that is shown twice', each);
  // The form switches it on, and off again.
  await page.locator('form.search input[name=group]').uncheck();
  await page.locator('form.search button').click();
  assert.equal(new URL(page.url()).searchParams.has('group'), false);
  assert.equal(await page.locator('details.effects').count(), 0);
}, { javaScriptEnabled: false });

check(5, 'an order unfolds its effects, and the keyboard moves from command to command', async ({ page }, shop) => {
  await see(page, shop, `/audit/timeline?q=correlation:${shop.made.correlation}&group=1&lang=en`);
  const order = rows(page).filter({ hasText: 'OrderPlaced' });
  const folded = order.locator('details.effects');
  const { json } = await get(shop, `/api/audit/timeline?q=correlation:${shop.made.correlation}&group=1`, { as: 'support' });
  const group = json.items.find((item) => item.events[0].type === 'OrderPlaced');
  assert.ok(group.effects.length > 1);
  const caused = () => folded.locator('li').evaluateAll((found) => found.map((one) => Number(one.dataset.position)));
  const same = async () => assert.deepEqual(await caused(), group.effects.map((effect) => effect.position));
  await same();
  assert.equal(await folded.locator('li').first().isVisible(), false);
  await folded.locator('summary').focus();
  await page.keyboard.press('Enter');
  await folded.locator('li').first().waitFor();
  assert.match(await folded.locator('li').first().innerText(), /\+\d+(\.\d)? (ms|s)/, 'how long it took');
  assert.match(await folded.locator('li', { hasText: 'OrderConfirmed' }).innerText(), /status\s+Before\s+placed → \s*After\s+confirmed/);
  assert.deepEqual(await violations(page), []);
  const focused = () => page.evaluate(() => document.activeElement.closest('ol.trail > li')?.dataset.position);
  const own = json.items.map((item) => String(item.events[0].position));
  await page.locator('h1').click();
  const walked = [];
  for (let step = 0; step < own.length; step += 1) {
    await page.keyboard.press('j');
    walked.push(await focused());
  }
  assert.deepEqual(walked, own);
  await page.keyboard.press('k');
  assert.equal(await focused(), own.at(-2) ?? own[0]);
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/audit\/a\//);
  await page.goBack();
  await page.locator('main ol.trail > li').first().waitFor();
  await folded.locator('li').first().evaluate((effect) => effect.remove());
  await mustFail('an effect that is lost', same);
});
