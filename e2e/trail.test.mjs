// One aggregate and one correlation.
import assert from 'node:assert/strict';
import { see } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { get } from './shop.mjs';

const audit = async (shop, path, as = 'support') => (await get(shop, `/api/audit${path}`, { as })).json;

check(5, 'from an event of an order one comes to all that belongs to it, in the order of its causes', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/order/${shop.made.orders.whole}?lang=en`);
  await rows(page).first().locator(`a[href*="/audit/c/${shop.made.correlation}"]`).click();
  const { items } = await audit(shop, `/c/${shop.made.correlation}`);
  assert.deepEqual(new Set(items.map((item) => item.aggregate_type)), new Set(['order', 'stock', 'credit_note']));
  const inOrder = async () => {
    const texts = await rows(page).allInnerTexts();
    assert.deepEqual(texts.map((text) => Number(text.match(/#(\d+)/)[1])), items.map((item) => item.position));
  };
  await inOrder();
  // With the keyboard alone: every event is reached, in the same order.
  const reached = [];
  await page.locator('main').evaluate((main) => { main.tabIndex = -1; main.focus(); });
  for (let step = 0; step < items.length * 4 && reached.length < items.length; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => document.activeElement.closest('ol.trail > li')?.innerText.match(/#(\d+)/)?.[1]);
    if (at && reached.at(-1) !== Number(at)) reached.push(Number(at));
  }
  assert.deepEqual(reached, items.map((item) => item.position));
  await page.evaluate(() => document.querySelector('ol.trail').append(document.querySelector('ol.trail > li')));
  await mustFail('another order', inOrder);
});
