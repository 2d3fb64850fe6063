// The live timeline: no event is lost or shown twice, and the page does not jump.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { createServer, request } from 'node:http';
import { see, signIn } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { eventually, open, post, remove, startAgain } from './shop.mjs';

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
  await page.locator('[data-news]', { hasText: '▲ 3' }).waitFor({ timeout: 20_000 });
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
    assert.deepEqual(seen.sort((a, b) => a - b), positions);
  };
  await eventually('all hundred are there', () => once().then(() => true), 20);
  await page.evaluate(() => document.querySelector('[data-rows] > li').remove());
  await mustFail('an event that is lost', once);
  // The browser reports the lost connection, as expected.
  const lost = watched.splice(0);
  assert.ok(lost.every((what) => /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(what)), lost.join());
}, { on });

check(9, 'ten tabs share one stream, and all of them load', async ({ context, page }, shop) => {
  // A proxy between browser and shop, to count open connections.
  let streams = 0;
  let most = 0;
  const between = createServer((incoming, answered) => {
    const stream = incoming.url.startsWith('/api/audit/stream');
    if (stream) most = Math.max(most, (streams += 1));
    const on = request(`${shop.origin}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      answered.writeHead(answer.statusCode, answer.headers);
      answer.pipe(answered);
    });
    on.on('error', () => answered.destroy());
    answered.on('close', () => {
      if (stream) streams -= 1;
      on.destroy();
    });
    incoming.pipe(on);
  });
  await new Promise((resolve) => between.listen(0, '127.0.0.1', resolve));
  const through = { origin: `http://127.0.0.1:${between.address().port}`, keys: shop.keys };
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
    const single = () => assert.equal(streams, 1, `${streams} streams are open`);
    single();
    assert.equal(most, 1);
    streams = 10;
    await mustFail('a stream for each tab', single);
  } finally {
    await context.close();
    between.closeAllConnections?.();
    between.close();
  }
}, { on: on.slice(0, 1) });
