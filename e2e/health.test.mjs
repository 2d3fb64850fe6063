// The page, the endpoint and the tool report the same, true health.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { see } from './browser.mjs';
import { check, mustFail } from './harness.mjs';
import { eventually, open, post, remove, replayTool, sql, startAgain } from './shop.mjs';

// On servers, a worker is killed. The embedded shop is one process: there a table is renamed, and its read model
// stops until the table is back.
const FAULTS = {
  embedded: {
    named: 'products',
    complaint: /rows stopped: .*products/,
    words: /stopped: .*products/,
    stop: (shop) => sql(shop, 'rm_products_1', 'ALTER TABLE products RENAME TO elsewhere;'),
    mend: (shop) => sql(shop, 'rm_products_1', 'ALTER TABLE elsewhere RENAME TO products;'),
  },
  apart: {
    named: 'products',
    complaint: /no worker is running/,
    words: /No worker is running/,
    stop: (shop) => shop.worker.stop('SIGKILL'),
    mend: async (shop) => (shop.worker = await startAgain(shop, shop.worker)),
    // The trend covers a minute: a new client that looks while the lag is large sees it shrink.
    lookAnew: async (shop) => {
      const answers = shop.processes.find((one) => one.origin === shop.origin);
      await answers.stop();
      await startAgain(shop, answers);
    },
  },
};

const own = {};
before(async () => {
  for (const store of Object.keys(FAULTS)) own[store] = await open(store);
});
after(async () => Promise.all(Object.values(own).map((shop) => remove(shop))));

async function health(shop) {
  const answer = await fetch(`${shop.origin}/health/audit`);
  return { status: answer.status, ...(await answer.json()) };
}

const one = (health, name) => health.items.find((item) => item.projection === name);
const row = (page, name) => page.locator('main tr', { hasText: name }).first();

// The page says the same of a read model as the endpoint and the tool.
async function agree(page, shop, name, words) {
  const answer = await health(shop);
  const { complaint, lag_events: lag } = one(answer, name);
  const tool = await replayTool(shop, 'status', name);
  await see(page, shop, '/audit/projections?lang=en');
  const text = await row(page, name).innerText();
  assert.equal(answer.status, answer.healthy ? 200 : 503);
  assert.equal(tool.code, complaint ? 3 : 0, tool.stdout);
  if (complaint) {
    assert.match(text, words, 'the page');
    assert.ok(tool.stdout.includes(complaint), `the tool: ${tool.stdout}`);
  } else {
    assert.match(text, /✓/);
  }
  assert.match(text, new RegExp(`\\b${lag} events? · \\d+\\.\\d s`), `lag ${lag} on the page`);
  assert.match(tool.stdout, new RegExp(`lag +${lag}\\b`), `lag ${lag} by the tool`);
  await see(page, shop, '/audit?lang=en');
  const overview = await page.locator('main').innerText();
  if (complaint) {
    assert.match(overview, new RegExp(`${name}\\s+v1 · Behind ${lag} events? · \\d+\\.\\d s · since \\d{4}-\\d\\d-\\d\\d `), 'the overview');
  } else {
    assert.match(overview, /✓/);
  }
  assert.match(await row(page, name).innerText(), complaint ? words : /✓/, 'the overview');
  return { complaint, lag };
}

for (const store of Object.keys(FAULTS)) {
  check(12, 'a stopped worker and its lag are reported the same everywhere', async ({ page }) => {
    const shop = own[store];
    const { named, complaint, words, stop, mend, lookAnew } = FAULTS[store];
    await eventually('all is well', async () => (await health(shop)).healthy);
    assert.equal((await agree(page, shop, named)).lag, 0);

    await stop(shop);
    const product = (await post(shop, '/products', { name: 'Late', variants: [{ sku: 'LATE-01', price: { amount: 1, currency: 'GBP' } }] })).json.id;
    // A larger lag than when the shop started: the trend looks back for a minute.
    for (let amount = 2; amount <= 60; amount += 1) {
      await post(shop, `/products/${product}/prices`, { sku: 'LATE-01', price: { amount, currency: 'GBP' } });
    }
    await eventually('the complaint is there', async () => complaint.test(one(await health(shop), named).complaint ?? ''), 10);
    const stopped = await agree(page, shop, named, words);
    assert.ok(stopped.lag >= 60, `behind by ${stopped.lag}`);
    const seconds = () => health(shop).then((answer) => one(answer, named).lag_seconds);
    const before = await seconds();
    await eventually('it falls further behind', async () => (await seconds()) > before + 0.5);
    // The overview updates by itself.
    await see(page, shop, '/audit?lang=en');
    await row(page, named).filter({ hasText: '↑' }).waitFor();
    await page.evaluate(() => document.querySelectorAll('.ill').forEach((ill) => ill.remove()));
    await mustFail('a complaint that the page does not show', async () =>
      assert.match(await row(page, named).innerText(), words));

    await see(page, shop, '/audit?lang=en');
    await row(page, named).filter({ hasText: '↑' }).waitFor();
    if (lookAnew) {
      await lookAnew(shop);
      await see(page, shop, '/audit?lang=en');
      await row(page, named).filter({ hasText: '→' }).waitFor();
      await mustFail('that it is still stopped', async () => assert.match(await row(page, named).innerText(), /↓/));
    }
    await mend(shop);
    // After a stop this short it is steady again for a client that looked all the time, and not yet shrinking.
    await row(page, named).filter({ hasText: lookAnew ? '↓' : /✓[^]*→/ }).waitFor({ timeout: 20_000 });
    await row(page, named).filter({ hasText: '✓' }).waitFor({ timeout: 20_000 });
    await eventually('all is well again, and caught up', async () => {
      const now = await health(shop);
      return now.healthy && one(now, named).lag_events === 0;
    }, 30);
    assert.equal((await agree(page, shop, named)).lag, 0);
  }, { on: [{ store, get origin() { return own[store].origin; }, get keys() { return own[store].keys; } }] });
}
