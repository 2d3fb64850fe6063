// A read model is rebuilt, verified, swapped and rolled back, and the pages show each step.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { see } from './browser.mjs';
import { check, mustFail } from './harness.mjs';
import { eventually, get, open, post, remove, replayTool, spawnReplayTool, sql, STORES } from './shop.mjs';

const own = {};
before(async () => {
  for (const store of STORES) own[store] = await open(store);
});
after(async () => Promise.all(Object.values(own).map((shop) => remove(shop))));
const on = STORES.map((store) => ({ store, get origin() { return own[store].origin; }, get keys() { return own[store].keys; } }));

const count = async (shop, namespace, table) => Number((await sql(shop, namespace, `SELECT count(*) FROM ${table};`)).trim());

// The page's texts about the read model and its runs.
async function pageText(page, shop) {
  await see(page, shop, '/audit/projections/products?lang=en');
  return page.locator('main').innerText();
}

check(15, 'plan, an interrupted and resumed rebuild, a found bug, a swap, and a rollback', async ({ page }, { store }) => {
  const shop = own[store];
  const price = (amount) => ({ sku: 'RE-01', price: { amount, currency: 'GBP' } });
  const id = (await post(shop, '/products', { name: 'Replayed', variants: [price(1)] })).json.id;
  for (let amount = 2; amount <= 300; amount += 1) await post(shop, `/products/${id}/prices`, price(amount));
  await eventually('it is at the head', async () => (await get(shop, `/products/${id}`)).json.variants?.[0]?.price?.amount === 300
    || JSON.stringify((await get(shop, `/products/${id}/prices`)).json).includes('300'));
  const events = await count(shop, 'log', 'events');
  const unchanged = async () => assert.equal(await count(shop, 'log', 'events'), events, 'the log was written');

  // Plan writes nothing.
  const before = [await count(shop, 'operations', 'generations'), await count(shop, 'operations', 'entries'), await count(shop, 'operations', 'runs')];
  const plan = await replayTool(shop, 'plan', 'products');
  assert.equal(plan.code, 0, plan.stderr);
  assert.deepEqual([await count(shop, 'operations', 'generations'), await count(shop, 'operations', 'entries'), await count(shop, 'operations', 'runs')], before);
  assert.doesNotMatch(await pageText(page, shop), /rebuild products\s*\n.*running/i);

  // Half way, a second rebuild is refused, naming the first one; Ctrl-C keeps the progress.
  const rebuild = spawnReplayTool(shop, 'rebuild', 'products', '--max-rate', '25/s', '--chunk', '10', '--json');
  let warnings = '';
  rebuild.stderr.on('data', (data) => (warnings += data));
  rebuild.stdout.resume();
  await eventually('the page shows a rebuild that is half way', async () => {
    await see(page, shop, '/audit/projections/products?lang=en');
    const row = page.locator('tr', { hasText: 'rebuild products' }).first();
    const [at, of] = (await row.innerText()).match(/(\d+) \/ (\d+)/).slice(1).map(Number);
    if (!/running/.test(await row.innerText()) || at < of * 0.3) throw new Error(await row.innerText());
    return true;
  });
  const second = await replayTool(shop, 'rebuild', 'products');
  assert.equal(second.code, 75, second.stderr);
  assert.match(second.stderr, new RegExp(`${rebuild.pid}|run \\d+|replay`), second.stderr);
  rebuild.kill('SIGINT');
  assert.equal(await rebuild.ended, 130, warnings);
  const interrupted = await pageText(page, shop);
  assert.match(interrupted, /interrupted|broken off/i);
  const again = await replayTool(shop, 'rebuild', 'products', '--json');
  assert.equal(again.code, 0, again.stderr);
  const summary = JSON.parse(again.stdout.trim().split('\n').at(-1));
  // From the start there would be more than the 500 events of the long history.
  assert.ok(summary.folded < 450, `it began anew: ${again.stdout.split('\n').at(-2)}`);

  // A bug in the data is found, named by its key, and the swap is refused.
  await sql(shop, 'rm_products_2', `UPDATE products SET name = 'bugged' WHERE id = '${id}';`);
  const verify = await replayTool(shop, 'verify', 'products');
  assert.equal(verify.code, 3, verify.stderr);
  assert.ok((verify.stdout + verify.stderr).includes(id), verify.stdout + verify.stderr);
  const refused = await replayTool(shop, 'swap', 'products', '--yes');
  assert.equal(refused.code, 4, refused.stderr);
  const found = await pageText(page, shop);
  assert.match(found, /difference|differ/i);

  // Corrected: a swap while others read, and a rollback.
  await sql(shop, 'rm_products_2', `UPDATE products SET name = 'Replayed' WHERE id = '${id}';`);
  const equal = await replayTool(shop, 'verify', 'products');
  assert.equal(equal.code, 0, equal.stdout + equal.stderr);
  let [reading, reads, failed] = [true, 0, 0];
  const readers = Array.from({ length: 4 }, async () => {
    while (reading) {
      const answer = await fetch(`${shop.origin}/products/${id}`);
      reads += 1;
      if (answer.status !== 200 || (await answer.json()).name !== 'Replayed') failed += 1;
    }
  });
  const swap = await replayTool(shop, 'swap', 'products', '--yes', '--reason', 'a test');
  const swapped = await pageText(page, shop);
  const rollback = await replayTool(shop, 'rollback', 'products', '--yes', '--reason', 'a test');
  reading = false;
  await Promise.all(readers);
  assert.deepEqual([swap.code, rollback.code], [0, 0], swap.stderr + rollback.stderr);
  assert.ok(reads > 20, `${reads} reads`);
  assert.equal(failed, 0, `${failed} of ${reads} reads failed`);
  assert.match(swapped, /v2 · in use/);
  const back = await pageText(page, shop);
  assert.match(back, /v1 · in use/);
  assert.match(back, /swap products/);
  assert.match(back, /rollback products/);
  assert.equal((await get(shop, `/products/${id}`)).json.name, 'Replayed');
  await unchanged();
  await post(shop, '/products', { name: 'One more', variants: [{ sku: 'RE-02' }] });
  await mustFail('an event that was appended meanwhile', unchanged);
}, { on, role: 'ops' });
