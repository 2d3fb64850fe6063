// Pages that are dense and calm: short rows, windows of long histories, bars that compare, groups that fold, titles.
import assert from 'node:assert/strict';
import { see, sideways, violations } from './browser.mjs';
import { each, events, mustFail, rows } from './harness.mjs';
import { LONG } from './seed.mjs';
import { get } from './shop.mjs';

const COMPACT = 44;
const LANE = 32;
const TALLEST = 3_000;

const heights = (places) => places.evaluateAll((found) => found.map((one) => one.getBoundingClientRect().height));
const pageHeight = (page) => page.evaluate(() => document.documentElement.scrollHeight);

// Every list of events and operations, and its rows. The selected row of a history shows everything, so it is left out.
const LISTS = (made) => ({
  timeline: ['/audit/timeline', 'ol.trail > li'],
  others: ['/audit/timeline?q=-type:ProductPriceChanged', 'ol.trail > li'],
  commands: [`/audit/timeline?group=1&q=correlation:${made.correlation}`, 'ol.trail .event'],
  order: [`/audit/a/order/${made.orders.whole}?v=1`, 'ol.trail > li:not([aria-current])'],
  long: [`/audit/a/product/${made.long}?v=250`, 'ol.trail > li:not([aria-current])'],
  operations: ['/audit', 'ol.trail > li'],
  models: ['/audit', 'tbody > tr'],
  record: ['/audit/operations', 'ol.trail > li'],
  fields: [`/audit/a/order/${made.orders.whole}?v=2`, 'tbody > tr'],
  first: [`/audit/a/order/${made.orders.whole}?v=1`, 'tbody > tr'],
  causes: [`/audit/c/${made.correlation}?view=table`, 'tbody > tr'],
  processes: ['/audit/processes?state=all', 'tbody > tr'],
  projection: ['/audit/projections/users', 'tbody > tr'],
  run: [`/audit/runs/${made.run}`, 'tbody > tr'],
  parked: ['/audit/parked', 'tbody > tr'],
});

async function rowsAreShort(page, place, most, name) {
  const all = await heights(page.locator(`main ${place}`));
  assert.ok(all.length > 0, `${name} has no rows`);
  const tall = all.filter((height) => height > most);
  assert.deepEqual(tall, [], `${name}: rows of more than ${most} px`);
}

for (const lang of ['en', 'zh-CN']) {
  each(`a row takes at most ${COMPACT} px, ${lang}`, async ({ page }, shop) => {
    for (const [name, [path, place]] of Object.entries(LISTS(shop.made))) {
      await see(page, shop, `${path}${path.includes('?') ? '&' : '?'}lang=${lang}`);
      await rowsAreShort(page, place, COMPACT, name);
      assert.ok((await pageHeight(page)) <= TALLEST, `${name} is ${await pageHeight(page)} px long`);
    }
    await see(page, shop, `/audit/c/${shop.made.correlation}?lang=${lang}`);
    await rowsAreShort(page, 'ol.trail [data-position]', LANE, 'waterfall');
    await page.locator('main .lane .name').nth(2).evaluate((name) => (name.style.whiteSpace = 'normal'));
    await page.locator('main .lane .name').nth(2).evaluate((name) => (name.style.width = '80px'));
    await mustFail('a row that wraps', () => rowsAreShort(page, 'ol.trail [data-position]', LANE, 'waterfall'));
  }, { role: 'ops' });
}

each('the sentence of an event stands on its row once, and the whole row can be read where it is selected', async ({ page }, shop) => {
  const { json } = await get(shop, `/api/audit/c/${shop.made.correlation}`, { as: 'support' });
  const shipped = json.items.find((item) => item.type === 'OrderShipped').position;
  await see(page, shop, `/audit/c/${shop.made.correlation}?lang=en&sel=${shipped}`);
  for (const text of await events(page).allInnerTexts()) {
    const sentence = text.trim().split('\n')[0].trim();
    assert.equal(text.split(sentence).length, 2, text);
  }
  const opened = page.locator('.opened');
  assert.match(await opened.innerText(), /via webhook[^]*OrderShipped #/);
  const cut = () => opened.evaluate((one) => [...one.querySelectorAll('*')].filter((part) => part.scrollWidth > part.clientWidth + 1
    && getComputedStyle(part).overflowX !== 'visible' && getComputedStyle(part).display !== 'inline').map((part) => part.outerHTML.slice(0, 80)));
  assert.deepEqual(await cut(), []);
  assert.deepEqual(await violations(page), []);
});

each('rows take more room where that is chosen, without scripts, and on every later page', async ({ page }, shop) => {
  await see(page, shop, '/audit/timeline?lang=en');
  const tall = async () => (await heights(rows(page)))[0];
  const compact = await tall();
  await page.locator('details.menu summary').first().click();
  await page.locator('.sheet a', { hasText: 'Comfortable rows' }).click();
  await page.waitForURL(/density=comfortable/);
  assert.ok((await tall()) > compact + 8, 'they are not roomier');
  await see(page, shop, '/audit/timeline?q=-type:ProductPriceChanged');
  assert.ok((await tall()) > compact + 8, 'the choice was not kept');
  await page.setViewportSize({ width: 320, height: 700 });
  assert.equal(await sideways(page), null);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.locator('details.menu summary').first().click();
  await page.locator('.sheet a', { hasText: 'Compact rows' }).click();
  await page.waitForURL(/density=compact/);
  assert.equal(await tall(), compact);
}, { javaScriptEnabled: false });

// The selected row is in the window at once, without scrolling.
async function inView(page, version) {
  const row = page.locator('li[aria-current]');
  assert.match(await row.innerText(), new RegExp(`^v${version}\\b`));
  const { top, bottom, high } = await row.evaluate((one) => {
    const { top: from, bottom: to } = one.querySelector('.event').getBoundingClientRect();
    return { top: from, bottom: to, high: innerHeight };
  });
  assert.equal(await page.evaluate(() => scrollY), 0, 'the page was scrolled');
  assert.ok(top >= 0 && bottom <= high, `version ${version} is at ${top} to ${bottom} px of ${high}`);
}

for (const [width, height] of [[1280, 720], [400, 800]]) {
  each(`the selected version of a long history is in view at once, ${width} px, without scripts`, async ({ page }, shop) => {
    for (const version of [1, 2, 7, 250, LONG - 1, LONG]) {
      await see(page, shop, `/audit/a/product/${shop.made.long}?v=${version}&lang=en`);
      await inView(page, version);
      assert.ok((await pageHeight(page)) <= TALLEST, `version ${version}: ${await pageHeight(page)} px`);
    }
    await see(page, shop, `/audit/a/product/${shop.made.long}`);
    await inView(page, LONG);
    await page.locator('li[aria-current]').evaluate((row) => (row.style.marginTop = '900px'));
    await mustFail('a row below the fold', () => inView(page, LONG));
  }, { javaScriptEnabled: false, viewport: { width, height } });
}

each('the windows of a long history join, by links', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/product/${shop.made.long}?v=1&lang=en`);
  const seen = [];
  for (;;) {
    seen.push(...await rows(page).evaluateAll((found) => found.map((row) => Number(row.id.slice(1)))));
    const later = page.locator('main a', { hasText: 'Later events' });
    if (await later.count() === 0) break;
    await later.click();
    await page.waitForLoadState();
  }
  assert.deepEqual(seen, Array.from({ length: LONG }, (_, index) => index + 1));
  assert.equal(new URL(page.url()).searchParams.get('v'), '1', 'the version stays selected');
});

// Where each bar ends, and where its moment is on the axis.
const bars = (page) => page.locator('main [data-position]').evaluateAll((found) => found.map((row) => {
  const bar = row.querySelector('.bar').getBoundingClientRect();
  const done = row.querySelector('.done').getBoundingClientRect();
  return { position: Number(row.dataset.position), left: bar.left, width: bar.width, end: done.left + done.width / 2 };
}));

async function aligned(page, items) {
  const all = await bars(page);
  assert.deepEqual(all.map((bar) => bar.position), items.map((item) => item.position));
  const moments = items.map((item) => Date.parse(item.recorded_at.slice(0, 23) + 'Z') + Number(item.recorded_at.slice(23, 26)) / 1_000);
  const [begin, end] = [Math.min(...moments), Math.max(...moments)];
  all.forEach((bar, index) => {
    assert.ok(Math.abs(bar.left - all[0].left) < 1 && Math.abs(bar.width - all[0].width) < 1, `the bar of #${bar.position} has an axis of its own`);
    const wanted = bar.left + ((moments[index] - begin) / Math.max(end - begin, 0.001)) * bar.width;
    assert.ok(Math.abs(bar.end - wanted) <= 3, `#${bar.position} ends at ${bar.end}, not at ${wanted}`);
  });
  return all;
}

each('all bars of the waterfall stand on one axis, whose head stays in sight', async ({ page }, shop) => {
  const { json } = await get(shop, `/api/audit/c/${shop.made.correlation}`, { as: 'support' });
  assert.ok(new Set(json.items.map((item) => item.depth)).size > 1, 'all are equally deep');
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 300 });
    await see(page, shop, `/audit/c/${shop.made.correlation}?lang=en&gap=0`);
    const all = await aligned(page, json.items);
    const axis = await page.locator('svg.axis').boundingBox();
    assert.ok(Math.abs(axis.x - all[0].left) < 2 && Math.abs(axis.width - all[0].width) < 2, 'the axis is beside its bars');
    assert.match(await page.locator('svg.axis').textContent(), /^0.*ms|^0.* s/, 'it has moments');
    const below = await page.evaluate(() => {
      document.querySelector('ol.falls > li:last-child').scrollIntoView({ block: 'end', behavior: 'instant' });
      return scrollY;
    });
    assert.ok(below > 100, 'nothing was scrolled');
    const head = await page.locator('.lane.head').boundingBox();
    assert.ok(head.y >= -1 && head.y < 40, `the head is at ${head.y}`);
    assert.equal(await sideways(page), null);
  }
  await page.locator('main [data-position] .bar').nth(1).evaluate((bar) => (bar.style.marginLeft = '40px'));
  await mustFail('a bar beside the axis', () => aligned(page, json.items));
});

for (const view of ['waterfall', 'tree']) {
  each(`a group of the ${view} folds and unfolds by keyboard, without scripts`, async ({ page }, shop) => {
    await see(page, shop, `/audit/c/${shop.made.correlation}?view=${view}&lang=en`);
    const fold = page.locator('details.fold').first();
    const inside = fold.locator('[data-position]').first();
    const count = await fold.locator('[data-position]').count();
    assert.equal(await fold.locator('summary').first().innerText().then((text) => text.replace(/\s+/g, ' ').trim()), `${count} What it caused (${count})`);
    await fold.locator('summary').first().focus();
    for (const shown of [false, true, false]) {
      await page.keyboard.press(shown ? 'Space' : 'Enter');
      await inside.waitFor({ state: shown ? 'visible' : 'hidden' });
    }
    await page.locator('main a.row').first().focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    const target = await fold.locator('summary').first().evaluate((one) => {
      const { width, height } = one.getBoundingClientRect();
      return { width, height, focused: one === document.activeElement };
    });
    assert.ok(target.focused, 'the sign that folds comes after the row');
    assert.ok(target.width >= 24 && target.height >= 24, `a target of ${target.width} × ${target.height} px`);
  }, { javaScriptEnabled: false });
}

each('roomy rows are accessible, too', async ({ page }, shop) => {
  for (const path of ['/audit/timeline?q=-type:ProductPriceChanged', `/audit/c/${shop.made.correlation}`, `/audit/a/order/${shop.made.orders.whole}`]) {
    await see(page, shop, `${path}${path.includes('?') ? '&' : '?'}density=comfortable&lang=en`);
    assert.deepEqual(await violations(page), [], path);
  }
});

each('j and k pass over what is folded', async ({ page }, shop) => {
  await see(page, shop, `/audit/c/${shop.made.correlation}?lang=en`);
  const fold = page.locator('details.fold').first();
  const hidden = await fold.locator('[data-position]').evaluateAll((found) => found.map((one) => one.dataset.position));
  const all = await events(page).evaluateAll((found) => found.map((one) => one.dataset.position));
  await fold.locator('summary').first().click();
  assert.deepEqual(await violations(page), []);
  await page.locator('main a.row').first().focus();
  const walked = [all[0]];
  const wanted = all.filter((position) => !hidden.includes(position));
  for (let step = 1; step < wanted.length; step += 1) {
    await page.keyboard.press('j');
    walked.push(await page.evaluate(() => document.activeElement.closest('[data-position]')?.dataset.position));
  }
  assert.deepEqual(walked, wanted);
  assert.ok(hidden.length > 0);
});

// The server's own page, before any script.
const titleOf = async (page, shop, path) => {
  const answer = await page.request.get(`${shop.origin}${path}`);
  const text = await answer.text();
  const head = text.slice(0, 600);
  return head.match(/<title>([^<]*)<\/title>/)?.[1] ?? assert.fail(`no title at the beginning of ${path}: ${head}`);
};

each('a title names what the page shows, in what the server sends first', async ({ page }, shop) => {
  const { orders, long, correlation, run } = shop.made;
  const { json } = await get(shop, `/orders/${orders.whole}`, { as: 'support' });
  const { number } = json;
  assert.ok(number);
  for (const [path, english, chinese] of [
    [`/audit/a/order/${orders.whole}?v=2`, `Order ${number}, version 2 · Audit`, `订单 ${number}，版本 2 · 审计`],
    [`/audit/a/product/${long}?v=17`, 'Product Weathercock, version 17 · Audit', '商品 Weathercock，版本 17 · 审计'],
    [`/audit/c/${correlation}`, `Cause and effect: Order ${number} was placed`, '关联事件：'],
    ['/audit/timeline?q=mug', 'Timeline: mug · Audit', '：mug · 审计'],
    [`/audit/runs/${run}`, `Run ${run} · Audit`, `${run} · 审计`],
  ]) {
    const and = path.includes('?') ? '&' : '?';
    assert.ok((await titleOf(page, shop, `${path}${and}lang=en`)).startsWith(english), `${await titleOf(page, shop, `${path}${and}lang=en`)} is not ${english}`);
    assert.ok((await titleOf(page, shop, `${path}${and}lang=zh-CN`)).includes(chinese), `${await titleOf(page, shop, `${path}${and}lang=zh-CN`)} is not ${chinese}`);
  }
  // Another version without a reload has its own title, too.
  await see(page, shop, `/audit/a/product/${long}?v=17&lang=en`);
  await page.locator('a[rel=next]').click();
  await page.waitForURL((url) => url.searchParams.get('v') === '18');
  await page.waitForFunction(() => document.title === 'Product Weathercock, version 18 · Audit');
});
