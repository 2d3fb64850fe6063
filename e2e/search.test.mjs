// The timeline: deep links, the back button, and truthful answers about the search.
import assert from 'node:assert/strict';
import { see, visit } from './browser.mjs';
import { browser, check, mustFail, rows } from './harness.mjs';
import { call, get } from './shop.mjs';

const positions = async (page) => (await rows(page).allInnerTexts()).map((text) => Number(text.match(/#(\d+)/)[1]));

check(6, 'a filter of four conditions survives paging, a link, and the back button', async ({ page }, shop) => {
  const filter = 'agg=product&type=ProductPriceChanged&actor=guest&chan=api&limit=30&lang=en';
  await see(page, shop, `/audit/timeline?${filter}`);
  const seen = await positions(page);
  for (let turn = 0; turn < 3; turn += 1) {
    await page.locator('a[rel=next]').click();
    await page.waitForLoadState();
    seen.push(...(await positions(page)));
  }
  assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => b - a), 'pages neither skip nor repeat');
  assert.equal(seen.length, 120);
  const here = { url: page.url(), shown: await positions(page) };
  const api = await get(shop, `/api/audit/timeline?agg=product&type=ProductPriceChanged&actor=guest&chan=api&limit=120`, { as: 'support' });
  assert.deepEqual(seen, api.json.items.map((item) => item.position));

  const link = rows(page).nth(20).locator('a').first();
  await link.focus();
  await link.scrollIntoViewIfNeeded();
  const scrolled = await page.evaluate(() => scrollY);
  const href = await link.getAttribute('href');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/audit/a/product/**');
  await page.goBack();
  const same = async () => {
    assert.equal(page.url(), here.url);
    assert.deepEqual(await positions(page), here.shown);
    assert.equal(await page.evaluate(() => scrollY), scrolled);
  };
  await same();
  assert.ok(scrolled > 0 && href);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), href, 'the focus is on that row');

  const { context, page: other } = await visit(browser, shop, { role: 'auditor' });
  await see(other, shop, here.url.slice(shop.origin.length));
  assert.deepEqual(await positions(other), here.shown, 'another user sees the same');
  await context.close();
  await page.locator('summary', { hasText: 'Views' }).click();
  await page.locator('input[name=title]').fill(`Prices by guests ${shop.store}`);
  await page.locator('form[action="/audit/views"] button').click();
  await page.waitForURL('**/audit/timeline?**');
  const { context: third, page: viewer } = await visit(browser, shop, { role: 'ops' });
  await see(viewer, shop, `/audit/views/prices-by-guests-${shop.store}`);
  const query = new URL(viewer.url()).searchParams;
  assert.deepEqual(['agg', 'type', 'actor', 'chan'].map((name) => query.get(name)), ['product', 'ProductPriceChanged', 'guest', 'api']);
  assert.deepEqual(await positions(viewer), seen.slice(0, 30), 'the view shows what the filter shows');
  await third.close();

  await page.goto(here.url);
  await page.evaluate(() => document.querySelector('ol.trail > li').remove());
  await mustFail('other rows', same);
});

check(7, 'a text that is only in a payload is found', async ({ page }, shop) => {
  await see(page, shop, '/audit/timeline?q=weathercock&lang=en');
  const finds = async () => assert.match((await rows(page).allInnerTexts()).join('\n'), /ProductCreated/);
  await finds();
  assert.equal(await rows(page).count(), 1);
  await see(page, shop, '/audit/timeline?q=weathercork&lang=en');
  await mustFail('a text that is not found', finds);
});

async function refusedNotShown(page, answer) {
  assert.equal(answer.status(), 400);
  assert.equal(await rows(page).count(), 0, 'rows are shown');
  assert.deepEqual(await page.locator('mark').allInnerTexts(), ['type:[']);
  assert.match(await page.locator('main').innerText(), /2\. /, 'the token is named');
}

check(7, 'an invalid term is named, and no rows are shown as if they were filtered', async ({ page, watched }, shop) => {
  const answer = await page.goto(`${shop.origin}/audit/timeline?q=mug+type:%5B&lang=en`);
  await refusedNotShown(page, answer);
  await page.evaluate(() => document.querySelector('main').insertAdjacentHTML('beforeend', '<ol class="trail"><li>#1</li></ol>'));
  await mustFail('rows beside the error', () => refusedNotShown(page, answer));
  // The browser itself reports that the page was refused.
  assert.ok(watched.splice(0).every((what) => what.includes('400')));
});

check(7, 'a search without a hit names its filters, and each can be removed', async ({ page }, shop) => {
  await see(page, shop, '/audit/timeline?agg=order&chan=storefront&q=%22no+such+thing%22&lang=en');
  const names = async () => {
    const text = await page.locator('main').innerText();
    for (const filter of ['agg=order', 'chan=storefront', 'q="no such thing"']) assert.ok(text.includes(filter), filter);
  };
  await names();
  assert.equal(await rows(page).count(), 0);
  await page.locator('main a', { hasText: 'q="no such thing"' }).click();
  assert.equal(new URL(page.url()).search, '?agg=order&chan=storefront&lang=en');
  assert.equal(await rows(page).count(), 1);
  await see(page, shop, '/audit/timeline?agg=order&q=%22no+such+thing%22&lang=en');
  await mustFail('a filter that is not named', names);
  assert.equal((await call(shop, 'GET', '/api/audit/timeline?q=weathercork', { as: 'support' })).json.items.length, 0);
});
