// Readers keep their place: Escape leads back to the row, what finds nothing leaves the page as it is, and views can be
// renamed and deleted.
import assert from 'node:assert/strict';
import { see, visit } from './browser.mjs';
import { browser, check, each, mustFail, rows, shops } from './harness.mjs';

const on = shops.slice(0, 1);
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute('href'));
const atPath = (page, pattern) => page.waitForURL((url) => pattern.test(url.pathname + url.search));
const refused = (watched, status) => {
  const all = watched.splice(0);
  assert.ok(all.length > 0 && all.every((what) => what.includes(`status of ${status}`)), all.join());
};

check(10, 'Escape leads from a detail back to the row that it was opened from', async ({ page }, shop) => {
  await see(page, shop, '/audit/timeline?q=-type:ProductPriceChanged&limit=20&lang=en');
  const row = rows(page).nth(12).locator('a.row');
  const href = await row.getAttribute('href');
  const list = page.url();
  const isBack = async () => {
    await page.waitForURL(list);
    await page.waitForFunction((wanted) => document.activeElement?.getAttribute('href') === wanted, href, { timeout: 5_000 })
      .catch(async () => assert.equal(await focused(page), href, 'the focus is on another row'));
  };
  await row.click();
  await atPath(page, /^\/audit\/a\//);
  await page.keyboard.press('Escape');
  await isBack();
  // Also past the versions that were looked at, and with the focus on the slider.
  await see(page, shop, `/audit/timeline?q=type:ProductPriceChanged&limit=20&lang=en`);
  const second = rows(page).nth(3).locator('a.row');
  const wanted = await second.getAttribute('href');
  const from = page.url();
  await second.press('Enter');
  await atPath(page, /^\/audit\/a\/product\//);
  await page.waitForLoadState();
  for (const key of ['[', '[']) {
    const before = page.url();
    await page.keyboard.press(key);
    await page.waitForURL((url) => url.href !== before);
  }
  await page.locator('[data-slider]').focus();
  await page.keyboard.press('Escape');
  await page.waitForURL(from);
  await page.waitForFunction((one) => document.activeElement?.getAttribute('href') === one, wanted);
  // Escape leaves only a detail that a row led to, and never a field in which somebody types.
  await page.keyboard.press('Escape');
  await see(page, shop, `/audit/a/order/${shop.made.orders.whole}?lang=en`);
  await page.keyboard.press('Escape');
  await page.locator('.jump input[name=id]').focus();
  await page.keyboard.press('Escape');
  assert.match(page.url(), /\/audit\/a\/order\//);
  await page.goto(list);
  await page.locator('a.row').first().focus();
  await mustFail('a focus on another row', async () => assert.equal(await focused(page), href));
}, { on });

check(10, 'Escape leads back from a process and from a read model, to their links', async ({ page }, shop) => {
  for (const [list, link] of [['/audit/processes?state=all&lang=en', 'a[href*="/audit/processes/fulfilment/"]'], ['/audit/projections?lang=en', 'main a[href*="/audit/projections/"]']]) {
    await see(page, shop, list);
    const one = page.locator(link).first();
    const href = await one.getAttribute('href');
    await one.click();
    await atPath(page, /^\/audit\/(processes|projections)\/./);
    await page.waitForLoadState();
    await page.keyboard.press('Escape');
    await page.waitForURL(`${shop.origin}${list}`);
    await page.waitForFunction((wanted) => document.activeElement?.getAttribute('href') === wanted, href);
  }
}, { on });

check(10, 'a condition and a moment that are not found leave the version as it is', async ({ page, watched }, shop) => {
  await see(page, shop, `/audit/a/order/${shop.made.orders.whole}?v=2&lang=en`);
  await page.locator('details.ways summary').click();
  await page.locator('#where').fill('/status=nowhere');
  await page.locator('#where').press('Enter');
  await page.locator('#missed').waitFor();
  const stays = async () => {
    assert.match(await page.locator('.steps').innerText(), /Version 2 \//);
    assert.equal(await page.locator('#where').inputValue(), '/status=nowhere');
    assert.equal(await page.locator('#missed').innerText(), '⚠ No version has this value. This is still version 2.');
    assert.ok(await page.locator('#where').isVisible());
  };
  await stays();
  refused(watched, 404);
  await page.locator('#where').fill('/status=');
  await page.locator('#asof').fill('2001-01-01');
  await page.locator('#asof').press('Enter');
  await page.locator('#missed', { hasText: 'It did not exist yet' }).waitFor();
  assert.match(await page.locator('.steps').innerText(), /Version 2 \//);
  refused(watched, 404);
  await mustFail('another page', stays);
}, { on });

each('check 10: a jump to nothing leaves the page, and what was typed, with and without a script', async ({ page, watched }, shop) => {
  for (const lang of ['en', 'zh-CN']) {
    await see(page, shop, `/audit/integrity?lang=${lang}`);
    const here = page.url();
    await page.locator('.jump input[name=id]').fill('nothing-of-this-name');
    await page.locator('.jump input[name=id]').press('Enter');
    await page.locator('.jump .missed', { hasText: lang === 'en' ? 'Nothing has this' : '没有任何内容' }).waitFor();
    assert.equal(page.url(), here);
    assert.equal(await page.locator('.jump input[name=id]').inputValue(), 'nothing-of-this-name');
    refused(watched, 404);
    await page.locator('.jump input[name=id]').fill(shop.made.orders.whole);
    assert.equal(await page.locator('.jump .missed').count(), 0, 'it is about what was typed before');
    await page.locator('.jump input[name=id]').press('Enter');
    await atPath(page, /\/audit\/a\/order\//);
  }
  const plain = await visit(browser, shop, { javaScriptEnabled: false });
  try {
    await see(plain.page, shop, '/audit/integrity?lang=en');
    await plain.page.locator('.jump input[name=id]').fill('nothing-of-this-name');
    await plain.page.locator('.jump input[name=id]').press('Enter');
    await plain.page.locator('#missed').waitFor();
    assert.equal(await plain.page.locator('.jump input[name=id]').inputValue(), 'nothing-of-this-name');
    await plain.page.locator('main a', { hasText: 'Back to the page before' }).click();
    await atPath(plain.page, /\/audit\/integrity/);
  } finally {
    await plain.context.close();
  }
}, { on });

check(6, 'a view is renamed and deleted by its owner alone, without a script, too', async ({ page }, shop) => {
  const title = `Places ${shop.store}`;
  await see(page, shop, '/audit/timeline?agg=order&lang=en');
  await page.locator('summary', { hasText: 'Views' }).click();
  await page.locator('input[name=title]').fill(title);
  await page.locator('form[action="/audit/views"] button').click();
  await atPath(page, /\/audit\/timeline\?agg=order/);
  await see(page, shop, '/audit/views?lang=en');
  const row = page.locator('tbody tr', { hasText: title });
  await row.locator('summary', { hasText: 'Rename' }).click();
  await row.locator('input[name=title]').fill(`Moved ${shop.store}`);
  await row.locator('form[action*="/renames"] button').click();
  await page.locator('[role=status]', { hasText: 'The view was renamed.' }).waitFor();

  const other = await visit(browser, shop, { role: 'auditor' });
  await see(other.page, shop, `/audit/views/places-${shop.store}`);
  assert.equal(new URL(other.page.url()).search, '?agg=order', 'its old address leads to it');
  await see(other.page, shop, '/audit/views?lang=en');
  const theirs = other.page.locator('tbody tr', { hasText: `Moved ${shop.store}` });
  const may = async () => assert.equal(await theirs.locator('form').count(), 0);
  await may();
  const moved = page.locator('tbody tr', { hasText: `Moved ${shop.store}` });
  await moved.locator('summary', { hasText: 'Delete' }).click();
  await moved.locator('form[action*="/deletions"] button').click();
  await page.locator('[role=status]', { hasText: 'The view was deleted.' }).waitFor();
  const answer = await other.page.goto(`${shop.origin}/audit/views/moved-${shop.store}?lang=en`);
  assert.equal(answer.status(), 410);
  assert.match(await other.page.locator('main').innerText(), /This view was deleted\.[^]*Deleted by/);
  await other.page.locator('main').evaluate((main) => { main.innerHTML = '<table><tbody><tr><td>Moved embedded<form></form></td></tr></tbody></table>'; });
  await mustFail('a form for somebody else', may);
  await other.context.close();
}, { javaScriptEnabled: false, on });
