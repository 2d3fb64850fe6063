// Business names come first, and the box on every page leads to what is typed, by any of its names.
import assert from 'node:assert/strict';
import { see, sideways, violations } from './browser.mjs';
import { each, mustFail } from './harness.mjs';
import { ANA } from './seed.mjs';
import { get, replayTool } from './shop.mjs';

const UUID = /[0-9a-f]{8}-[0-9a-f-]{27}/;
const audit = async (shop, path, as = 'support') => (await get(shop, `/api/audit${path}`, { as })).json;

async function type(page, text) {
  await page.locator('form.jump input[name=id]').fill(text);
  const gone = page.waitForEvent('framenavigated');
  await page.keyboard.press('Enter');
  await gone;
  await page.waitForLoadState();
}

// The numbers of the order that was shipped and refunded, and of its credit note.
async function numbers(shop) {
  const order = (await audit(shop, `/a/order/${shop.made.orders.whole}`)).name;
  const note = (await audit(shop, `/a/credit_note/${shop.made.creditNote}`)).name;
  assert.ok(order && note && !UUID.test(order + note));
  return { order, note };
}

each('the box leads from every kind of name to the thing itself', async ({ page }, shop) => {
  const { order, note } = await numbers(shop);
  const { items } = await audit(shop, `/timeline?q=id:${shop.made.orders.whole}+agg:order&order=asc`);
  const [placed] = items;
  await see(page, shop, '/audit?lang=en');
  const leads = async (text, to) => {
    await type(page, text);
    await page.waitForURL(to);
  };
  await leads(order, `**/audit/a/order/${shop.made.orders.whole}?**`);
  assert.match(await page.locator('h1').innerText(), new RegExp(`order ${order}`));
  await leads(note, `**/audit/a/credit_note/${shop.made.creditNote}?**`);
  await leads(placed.id, `**/audit/a/order/${shop.made.orders.whole}?v=1**`);
  await leads(shop.made.correlation, `**/audit/c/${shop.made.correlation}?**`);
  assert.match(await page.locator('h1').innerText(), new RegExp(order));
  await leads(placed.command_id, '**/audit/timeline?q=command**');
  assert.match(await page.locator('ol.trail').innerText(), new RegExp(`Order ${order} was placed`));
  await leads('Weathercock', `**/audit/a/product/${shop.made.long}?**`);
  await leads('test-of-support', '**/audit/timeline?q=actor**');
  await mustFail('a name that leads elsewhere', async () => assert.match(page.url(), /a\/order/));
  await type(page, 'MUG-01');
  await page.locator('ul.found li').nth(1).waitFor();
  assert.deepEqual(await violations(page), []);
});

each('a person’s address that is typed into the box is in no address of a page', async ({ page, watched }, shop) => {
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  const nowhere = () => asked.forEach((url) => assert.doesNotMatch(decodeURIComponent(url), /zugspitze|quux/i));
  await see(page, shop, '/audit?lang=en');
  await type(page, ANA.email);
  await page.waitForURL(`**/audit/timeline?q=subject*${shop.made.users.ana}**`);
  // A search without a result leaves the page as it is.
  const here = page.url();
  await page.locator('form.jump input[name=id]').fill('nobody@quux.example');
  await page.keyboard.press('Enter');
  await page.locator('.jump .missed', { hasText: 'Nothing has this' }).waitFor();
  assert.equal(page.url(), here);
  const refused = watched.splice(0);
  assert.ok(refused.length > 0 && refused.every((what) => what.includes('status of 404')), refused.join());
  nowhere();
  assert.deepEqual(await violations(page), []);
  asked.push(`${shop.origin}/audit/jump?id=${encodeURIComponent(ANA.email)}`);
  await mustFail('an e-mail in an address', async () => nowhere());
  assert.deepEqual(watched, []);
});

each('a name of several things leads to a page of choices, also without a script', async ({ page }, shop) => {
  const { name } = await audit(shop, `/a/order/${shop.made.orders.whole}`);
  await see(page, shop, '/audit?lang=en');
  await type(page, 'MUG-01');
  const choices = page.locator('ul.found li');
  await choices.nth(1).waitFor();
  assert.match((await choices.allInnerTexts()).join('\n'), /product[^]*by its SKU[^]*stock MUG-01/);
  await page.setViewportSize({ width: 400, height: 800 });
  assert.equal(await sideways(page), null);
  await choices.locator('a', { hasText: 'stock' }).first().click();
  await page.waitForURL('**/audit/a/stock/**');
  assert.match(await page.locator('h1').innerText(), /stock MUG-01 · main/);
  const state = await page.locator('main').innerText();
  assert.match(state, new RegExp(`order ${name}, line 1`), 'a line of an order, by its number');
  assert.doesNotMatch(state, /~1\d/);
}, { javaScriptEnabled: false });

each('an order leads to its credit note, its stock and its process, and they lead back', async ({ page }, shop) => {
  const { order, note } = await numbers(shop);
  const path = `/audit/a/order/${shop.made.orders.whole}`;
  const related = page.locator('section.related');
  for (const text of [`credit note ${note}`, 'stock MUG-01', 'fulfilment']) {
    await see(page, shop, `${path}?lang=en`);
    await related.locator('a', { hasText: text }).first().click();
    await page.waitForLoadState();
    assert.ok(!page.url().includes('/a/order/'), text);
    await page.locator('main a', { hasText: `order ${order}` }).first().click();
    await page.waitForURL(`**${path}?**`);
  }
  await see(page, shop, `/audit/timeline?q=${order}&lang=en`);
  const card = page.locator('.named-thing').first();
  assert.match(await card.innerText(), new RegExp(`order ${order}[^]*was placed[^]*was confirmed[^]*was shipped[^]*was credited[^]*${note}`));
  assert.deepEqual(await violations(page), []);
  await see(page, shop, `${path}?lang=zh-CN`);
  assert.match(await page.locator('h1').innerText(), new RegExp(`订单 ${order}`));
});

each('replay-tool shows an order by its number, and leads with it', async (_, shop) => {
  const { order } = await numbers(shop);
  const shown = await replayTool(shop, 'show', 'order', order);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout.split('\n')[0], new RegExp(`^order ${order}, version 4 of 4: Order credited, position \\d+$`));
  const json = await replayTool(shop, 'show', 'order', order, '--json');
  const first = JSON.parse(json.stdout.split('\n')[0]);
  assert.deepEqual([first.id, first.name], [shop.made.orders.whole, order]);
  assert.deepEqual(Object.values(first.names).find((one) => one.type === 'product')?.name, 'Stoneware mug');
  const tail = await replayTool(shop, 'tail', '--q', `id:${shop.made.orders.whole} agg:order`, '--after', '0');
  assert.equal(tail.code, 0, tail.stderr);
  tail.stdout.trim().split('\n').forEach((line) => assert.ok(line.includes(order), line));
});
