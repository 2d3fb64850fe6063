// An order is stuck, or a command of it was refused: its instance's page says at which command and why, and retries or
// acknowledges it for those who may.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { see, violations } from './browser.mjs';
import { each, mustFail } from './harness.mjs';
import { confirmed } from './seed.mjs';
import { eventually, get, open, post, remove, sql, STORES } from './shop.mjs';

const own = {};
before(async () => {
  for (const store of STORES) own[store] = await open(store);
});
after(async () => Promise.all(Object.values(own).map((shop) => remove(shop))));
const on = STORES.map((store) => ({ store, get origin() { return own[store].origin; }, get keys() { return own[store].keys; } }));

// The log refuses reservations.
const refuse = (shop) => sql(shop, 'log', shop.database
  ? "ALTER TABLE events ADD CONSTRAINT shelf CHECK (event_type <> 'StockReserved') NOT VALID;"
  : "CREATE TRIGGER shelf BEFORE INSERT ON events WHEN NEW.event_type = 'StockReserved' BEGIN SELECT RAISE(ABORT, 'the shelf is locked'); END;");
const accept = (shop) => sql(shop, 'log', shop.database
  ? 'ALTER TABLE events DROP CONSTRAINT shelf;' : 'DROP TRIGGER shelf;');

const FAR = 9_000_000_000_000;
const RETRY = 'Retry the command';

async function stuckOrder(shop) {
  await refuse(shop);
  const order = (await post(shop, '/orders', { lines: [{ sku: 'MUG-01', quantity: 1 }], country: 'France' })).json.id;
  const waits = async () => (await get(shop, `/api/audit/processes/fulfilment/${order}`, { as: 'ops' })).json.waits_with;
  // After so many attempts the command waits in its row, and the next attempt is put off to another century.
  await eventually('the command waits', async () => (await waits())?.attempts >= 6);
  await eventually('it waits for long', async () => {
    await sql(shop, 'process', `UPDATE outbox SET retry_at = ${FAR} WHERE instance = '${order}';`);
    return Date.parse((await waits()).retry_at) === FAR;
  });
  return order;
}

each('a stuck order names its command and the reason, and a retry sends it', async ({ page }, { store }) => {
  const shop = own[store];
  const order = await stuckOrder(shop);
  await see(page, shop, '/audit/processes?state=stuck&lang=en');
  await page.locator(`main a:has-text("${order}")`).click();
  await page.waitForURL(`**/audit/processes/fulfilment/${order}**`);
  const main = page.locator('main');
  const saysWhy = async () => {
    const text = await main.innerText();
    assert.match(text, /This instance is stuck/);
    assert.match(text, /stock\.reserve, line 1/);
    assert.match(text, /shelf/, 'why it waits');
    assert.match(text, /Order placed/);
  };
  await saysWhy();
  assert.deepEqual(await violations(page), []);
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=zh-CN`);
  assert.match(await main.innerText(), /此实例已卡住[^]*等待原因/);
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=en`);

  await accept(shop);
  await main.locator('input[name=reason]').fill('the shelf is open again');
  await page.getByRole('button', { name: RETRY }).click();
  await page.waitForURL('**retry=requested**');
  assert.match(await main.innerText(), /will be retried at once/);
  await confirmed(shop, order);
  // The page follows without being loaded again, and has nothing more to retry once it is.
  await main.locator('.banner.ill').waitFor({ state: 'detached' });
  await mustFail('that it is stuck no more', saysWhy);
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=en`);
  assert.match(await main.innerText(), /confirmed[^]*Order confirmed/);
  assert.equal(await page.getByRole('button', { name: RETRY }).count(), 0);
  await see(page, shop, '/audit?lang=en');
  assert.match(await main.innerText(), /Retried the waiting command/);
}, { on, role: 'ops' });

each('a role that may not retry sees the reason, and no button', async ({ page }, { store }) => {
  const shop = own[store];
  const order = await stuckOrder(shop);
  try {
    await see(page, shop, `/audit/processes/fulfilment/${order}?lang=en`);
    assert.match(await page.locator('main').innerText(), /This instance is stuck/);
    assert.equal(await page.getByRole('button', { name: RETRY }).count(), 0);
  } finally {
    await accept(shop);
  }
}, { on, role: 'auditor' });

const ACKNOWLEDGE = 'Acknowledge the failures';

// An order was cancelled after its goods had left: the release of its line was refused.
async function failedOrder(shop) {
  const order = (await post(shop, '/orders', { lines: [{ sku: 'MUG-01', quantity: 1 }], country: 'France' })).json.id;
  await confirmed(shop, order);
  const task = JSON.stringify({ do: 'release', place: { sku: 'MUG-01', location: 'main' }, line: 1 });
  await sql(shop, 'process', `INSERT INTO failures (process, instance, number, task, slug, failed_at)
    VALUES ('fulfilment', '${order}', 99, '${task}', 'line-shipped', 1700000000000);`);
  return order;
}

each('failures are an alarm until somebody who may do so acknowledges them', async ({ page }, { store }) => {
  const shop = own[store];
  const order = await failedOrder(shop);
  const stuck = async () => {
    const list = (await get(shop, '/api/audit/processes?state=stuck', { as: 'ops' })).json.items;
    return list.some((one) => one.instance === order);
  };
  assert.ok(await stuck());
  const main = page.locator('main');
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=zh-CN`);
  assert.match(await main.innerText(), /必须执行的命令被拒绝[^]*确认这些失败/);
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=en`);
  assert.match(await main.innerText(), /release, line 1/);
  assert.deepEqual(await violations(page), []);
  await main.locator('input[name=reason]').fill('the parcel came back');
  await page.getByRole('button', { name: ACKNOWLEDGE }).click();
  await page.waitForURL('**acknowledged=done**');
  assert.match(await main.innerText(), /The failures are acknowledged/);
  assert.equal(await page.getByRole('button', { name: ACKNOWLEDGE }).count(), 0);
  assert.ok(!await stuck());
  await see(page, shop, '/audit?lang=en');
  assert.match(await main.innerText(), /Acknowledged the failures of the process manager fulfilment/);
}, { on, role: 'ops' });

each('a role that may not acknowledge sees the failure, and no button', async ({ page }, { store }) => {
  const shop = own[store];
  const order = await failedOrder(shop);
  await see(page, shop, `/audit/processes/fulfilment/${order}?lang=en`);
  assert.match(await page.locator('main').innerText(), /Correct what differs, then acknowledge it/);
  assert.equal(await page.getByRole('button', { name: ACKNOWLEDGE }).count(), 0);
}, { on, role: 'auditor' });
