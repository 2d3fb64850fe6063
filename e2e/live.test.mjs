// The live timeline: no event is lost or shown twice, and the page does not jump.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { createServer, request } from 'node:http';
import { see, signIn } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { eventually, get, open, post, remove, startAgain } from './shop.mjs';

const STORES = ['embedded', 'apart'];
const own = {};
before(async () => {
  for (const store of STORES) own[store] = await open(store);
});
after(async () => Promise.all(Object.values(own).map((shop) => remove(shop))));
const on = STORES.map((store) => ({ store, get origin() { return own[store].origin; }, get keys() { return own[store].keys; } }));

let number = 0;
// Appends one event; returns its position.
async function happens(shop) {
  const sku = `LIVE-${(number += 1)}`;
  return (await post(own[shop.store], '/products', { name: sku, variants: [{ sku }] })).json.position;
}

const shown = (page) => rows(page).evaluateAll((found) => found.map((row) => Number(row.dataset.position)));
const follow = async (page, shop) => {
  await see(page, shop, '/audit/timeline?agg=product&lang=en');
  await page.locator('[data-live]').click();
  await page.locator('[data-live][data-state=live]').waitFor();
};

// A proxy between browser and shop: it counts the open streams, cuts them, and refuses new ones with `refuse`.
async function between(shop) {
  const proxy = { streams: new Set(), most: 0, asked: [], refuse: null };
  const server = createServer((incoming, answered) => {
    const stream = incoming.url.startsWith('/api/audit/stream');
    if (stream) {
      proxy.asked.push(Number(new URL(incoming.url, shop.origin).searchParams.get('after')));
      if (proxy.refuse === 'cut') { answered.destroy(); return; }
      if (proxy.refuse) { answered.writeHead(...proxy.refuse).end(); return; }
      proxy.streams.add(answered);
      proxy.most = Math.max(proxy.most, proxy.streams.size);
    }
    const on = request(`${shop.origin}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      answered.writeHead(answer.statusCode, answer.headers);
      answer.pipe(answered);
    });
    on.on('error', () => answered.destroy());
    answered.on('close', () => {
      proxy.streams.delete(answered);
      on.destroy();
    });
    incoming.pipe(on);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.through = { store: shop.store, origin: `http://127.0.0.1:${server.address().port}`, keys: shop.keys };
  proxy.cut = () => proxy.streams.forEach((stream) => stream.destroy());
  proxy.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}

// The rows from this position on are these positions, the newest first.
const since = async (page, first, positions) =>
  assert.deepEqual((await shown(page)).filter((one) => one >= first), [...positions].reverse());
const caughtUp = (page) => page.locator('[data-live-state]', { hasText: 'Caught up' }).waitFor({ timeout: 20_000 });

check(9, 'new events appear within two seconds, and do not move what is being read', async ({ page }, shop) => {
  for (let count = 0; count < 30; count += 1) await happens(shop);
  await follow(page, shop);
  const position = await happens(shop);
  await page.locator(`li[data-position="${position}"]`).waitFor({ timeout: 2_000 });

  await page.evaluate(() => scrollTo(0, 900));
  const watched = rows(page).nth(10);
  const place = async () => Math.round((await watched.boundingBox()).y);
  const [read, at] = [await watched.getAttribute('data-position'), await place()];
  const stays = async () => {
    assert.equal(await watched.getAttribute('data-position'), read);
    assert.ok(Math.abs((await place()) - at) <= 2, 'what is read moved on the screen');
  };
  for (let count = 0; count < 3; count += 1) await happens(shop);
  await page.locator('[data-news]', { hasText: '3 new events' }).waitFor({ timeout: 20_000 });
  await stays();
  const offered = await page.locator('[data-news]').boundingBox();
  assert.ok(offered.y >= 0 && offered.y < 900, 'it is said where nobody looks');
  await page.locator('[data-news]').click();
  assert.equal((await shown(page)).filter((one) => one > position).length, 3);
  await page.evaluate(() => scrollTo(0, 100));
  await mustFail('a page that jumps', stays);
}, { on });

check(9, 'after a restart in the middle of a hundred events each of them is shown once', async ({ page, watched }, shop) => {
  await follow(page, shop);
  const mine = own[shop.store];
  const reader = mine.processes.find((one) => one.origin === mine.origin);
  const positions = [];
  const some = async (count) => {
    for (let done = 0; done < count; done += 1) positions.push(await happens(shop));
  };
  await some(40);
  // With separate processes, commands go on while the query process is stopped.
  await reader.stop('SIGKILL');
  if (shop.store === 'apart') await some(30);
  await startAgain(mine, reader);
  await some(100 - positions.length);
  const once = async () => {
    const seen = (await shown(page)).filter((position) => positions.includes(position));
    assert.deepEqual(seen, [...positions].reverse());
  };
  await eventually('all hundred are there', () => once().then(() => true), 20);
  await page.evaluate(() => document.querySelector('[data-rows] > li').remove());
  await mustFail('an event that is lost', once);
  // The browser reports the lost connection, as expected.
  const lost = watched.splice(0);
  assert.ok(lost.every((what) => /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(what)), lost.join());
}, { on });

check(9, 'ten tabs share one stream, and all of them load', async ({ context, page }, shop) => {
  const proxy = await between(shop);
  const { through } = proxy;
  try {
    await page.close();
    const tabs = [];
    for (let tab = 0; tab < 10; tab += 1) {
      const opened = await context.newPage();
      if (tab === 0) await signIn(opened, through, 'support');
      await follow(opened, through);
      tabs.push(opened);
    }
    const position = await happens(shop);
    for (const tab of tabs) await tab.locator(`li[data-position="${position}"]`).waitFor({ state: 'attached', timeout: 20_000 });
    const single = () => assert.equal(proxy.streams.size, 1, `${proxy.streams.size} streams are open`);
    single();
    assert.equal(proxy.most, 1);
    for (let another = 0; another < 9; another += 1) proxy.streams.add(another);
    await mustFail('a stream for each tab', single);
  } finally {
    await context.close();
    proxy.close();
  }
}, { on: on.slice(0, 1) });

check(9, '17 that came while the reader was further down stand below the 3 that came after', async ({ page }, shop) => {
  for (let count = 0; count < 30; count += 1) await happens(shop);
  await follow(page, shop);
  await page.evaluate(() => scrollTo(0, 1_500));
  const positions = [];
  const some = async (count) => { for (let done = 0; done < count; done += 1) positions.push(await happens(shop)); };
  await some(1);
  await page.locator('[data-news]', { hasText: /▲ 1 new event$/ }).waitFor({ timeout: 20_000 });
  await some(16);
  const button = page.locator('[data-news]');
  await page.locator('[data-news]', { hasText: '▲ 17 new events' }).waitFor({ timeout: 20_000 });
  assert.ok(!(await shown(page)).some((one) => one >= positions[0]), 'nothing moves for who reads elsewhere');
  await page.evaluate(() => scrollTo(0, 0));
  await some(3);
  await page.locator(`li[data-position="${positions.at(-1)}"]`).waitFor({ timeout: 20_000 });
  const whole = () => since(page, positions[0], positions);
  await whole();
  assert.ok(await button.isHidden(), 'nothing waits');
  await page.evaluate(() => document.querySelector('[data-rows] > li:nth-child(9)').remove());
  await mustFail('a silent gap', whole);
  await see(page, shop, '/audit/timeline?agg=product&lang=zh-CN#live');
  await page.locator('[data-live][data-state=live]').waitFor();
  await page.evaluate(() => scrollTo(0, 1_500));
  await some(1);
  await page.locator('[data-news]', { hasText: '▲ 1 个新事件' }).waitFor({ timeout: 20_000 });
}, { on });

check(9, 'a connection that is cut or refused says so, and goes on where it was', async ({ context, page }, shop) => {
  const proxy = await between(shop);
  const { through } = proxy;
  await page.close();
  const tab = await context.newPage();
  try {
    await signIn(tab, through, 'support');
    await follow(tab, through);
    await caughtUp(tab);
    const positions = [];
    const some = async (count) => { for (let done = 0; done < count; done += 1) positions.push(await happens(shop)); };
    await some(2);
    await tab.locator(`li[data-position="${positions.at(-1)}"]`).waitFor();
    for (const refuse of ['cut', [429, { 'retry-after': '1' }], [503, { 'retry-after': '1' }]]) {
      proxy.refuse = refuse;
      const asked = proxy.asked.length;
      proxy.cut();
      await tab.locator('[data-live-state]', { hasText: 'Connection lost, trying again' }).waitFor({ timeout: 20_000 });
      await some(4);
      await eventually('it tries again', () => proxy.asked.length > asked);
      assert.ok(!(await shown(tab)).includes(positions.at(-1)));
      proxy.refuse = null;
      await tab.locator(`li[data-position="${positions.at(-1)}"]`).waitFor({ timeout: 30_000 });
      await caughtUp(tab);
      await since(tab, positions[0], positions);
      assert.ok(proxy.asked.at(-1) <= positions.at(-5), 'it asks for what comes after the last row');
    }
    await mustFail('an event that is lost', () => since(tab, positions[0], positions.slice(1)));
    assert.equal(await tab.locator('p.news').innerText(), 'Caught up', 'it is said to who does not see it');
    await tab.locator('[data-live]').click();
    assert.ok(await tab.locator('[data-live-state]').isHidden());
    await eventually('the stream ends', () => proxy.streams.size === 0);
  } finally {
    await context.close();
    proxy.close();
  }
}, { on: on.slice(0, 1) });

check(9, 'another filter is followed on, and an older page leads to where new events come', async ({ page }, shop) => {
  const first = await happens(shop);
  await follow(page, shop);
  assert.equal(new URL(page.url()).hash, '#live');
  await page.locator('form.search select[name=agg]').selectOption('stock');
  await page.locator('form.search button').click();
  await page.waitForURL((url) => url.searchParams.get('agg') === 'stock' && url.hash === '#live');
  await page.locator('[data-live][data-state=live]').waitFor();
  const product = await happens(shop);
  const sku = `LIVE-${number}`;
  const { json } = await post(own[shop.store], `/inventory/${sku}/receipts`, { quantity: 3 });
  await page.locator(`li[data-position="${json.position}"]`).waitFor({ timeout: 20_000 });
  const seen = await shown(page);
  assert.ok(!seen.includes(product) && !seen.includes(first), 'it is no stock');
  // A page of older events leads to where new ones come.
  await see(page, shop, `/audit/timeline?agg=product&before=${product}&lang=en`);
  await page.locator('[data-live]').click();
  await page.waitForURL((url) => !url.searchParams.has('before') && url.hash === '#live');
  await page.locator('[data-live][data-state=live]').waitFor();
  const next = await happens(shop);
  await page.locator(`li[data-position="${next}"]`).waitFor({ timeout: 20_000 });
  await since(page, product, [product, next]);
  await page.reload();
  await page.locator('[data-live][data-state=live]').waitFor();
}, { on: on.slice(0, 1) });

check(9, 'a page keeps 200 rows, and leads to the one below them', async ({ page }, shop) => {
  const all = async () => (await get(own[shop.store], '/api/audit/timeline?agg=product&limit=200', { as: 'support' })).json.items.map((item) => item.position);
  while ((await all()).length < 200) await happens(shop);
  await see(page, shop, '/audit/timeline?agg=product&limit=200&lang=en');
  await page.locator('[data-live]').click();
  await page.locator('[data-live][data-state=live]').waitFor();
  assert.ok(await page.locator('[data-cut]').isHidden());
  for (let count = 0; count < 3; count += 1) await happens(shop);
  await page.locator('[data-cut]').waitFor({ timeout: 20_000 });
  await eventually('the newest are there', async () => (await shown(page))[0] === (await all())[0]);
  const kept = await shown(page);
  assert.deepEqual(kept, (await all()).slice(0, 200));
  for (const link of ['[data-cut] a', 'a[rel=next]']) {
    if (await page.locator(link).count() === 0) continue;
    const url = new URL(await page.locator(link).getAttribute('href'), shop.origin);
    const { json } = await get(own[shop.store], `/api/audit/timeline?agg=product&limit=1&before=${url.searchParams.get('before')}`, { as: 'support' });
    const { json: below } = await get(own[shop.store], `/api/audit/timeline?agg=product&limit=1&before=${kept.at(-1)}`, { as: 'support' });
    assert.deepEqual(json.items.map((item) => item.position), below.items.map((item) => item.position), link);
  }
}, { on: on.slice(0, 1) });

check(9, 'rows by command are followed: effects come to their command, unfolded or not', async ({ page }, shop) => {
  const mine = own[shop.store];
  await see(page, shop, '/audit/timeline?group=1&lang=en');
  await page.locator('[data-live]').click();
  await page.locator('[data-live][data-state=live]').waitFor();
  const place = async () => (await post(mine, '/orders', { lines: [{ sku: 'MUG-01', quantity: 1 }], country: 'France' })).json.position;
  const position = await place();
  const row = page.locator(`[data-rows] > li[data-position="${position}"]`);
  await row.waitFor({ timeout: 20_000 });
  const wanted = async () => {
    const { json } = await get(mine, '/api/audit/timeline?group=1&limit=50', { as: 'support' });
    return json.items.map(({ events, effects }) => [...events, ...effects].map((event) => event.position));
  };
  const seen = () => page.locator('[data-rows] > li').evaluateAll((found) => found.map((one) =>
    [one, ...one.querySelectorAll('[data-position]')].map((each) => Number(each.dataset.position))));
  const same = async () => assert.deepEqual((await seen()).slice(0, 20), (await wanted()).slice(0, 20));
  await eventually('its effects are below it', async () => {
    await same();
    return (await seen())[0].length > 1;
  });
  await row.locator('details.effects > summary').click();
  // An unfolded group stays unfolded while more rows come, and the focus stays.
  await row.locator('details.effects a.row').first().focus();
  const focused = await page.evaluate(() => document.activeElement.href);
  await place();
  await eventually('the next one is above it', async () => { await same(); return (await seen())[1].length > 1; });
  assert.equal(await page.evaluate(() => document.activeElement.href), focused);
  assert.ok(await row.locator('details.effects a.row').first().isVisible());
  await page.evaluate(() => document.querySelector('[data-rows] > li [data-position]').remove());
  await mustFail('an effect that is lost', same);
}, { on: on.slice(0, 1) });
