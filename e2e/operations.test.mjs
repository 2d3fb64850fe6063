// The record of operations: who did what, when and why; and reasons that can be read.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { see } from './browser.mjs';
import { each, mustFail, rows } from './harness.mjs';
import { call, get, post, replayTool } from './shop.mjs';

const WHY = 'a complaint about the greenhouse';

each('a reason is hidden, read by its writer, and revealed to others', async ({ page }, shop) => {
  const user = (await call(shop, 'POST', '/users', { as: 'support', body: { country: 'Chile' },
    headers: { 'x-reason-note': WHY } })).json.id;
  const main = page.locator('main');
  await see(page, shop, `/audit/a/user/${user}?lang=en`);
  const hidden = async () => assert.doesNotMatch(await page.content(), /greenhouse/);
  await hidden();
  await page.getByRole('link', { name: 'hidden, reveal with a reason' }).click();
  await page.locator('details.reveal:not(.leave) summary').click();
  await page.locator('details.reveal input[name=reason]').fill('to answer it');
  await page.locator('details.reveal:not(.leave) button').click();
  await page.getByText(WHY).waitFor();
  await mustFail('a reason that is shown', hidden);
  const own = await get(shop, `/api/audit/a/user/${user}`, { as: 'support' });
  assert.equal(own.json.events[0].reason_note, WHY);

  // The reveal is an entry of its own, whose reason is hidden from others and shown to its writer.
  await see(page, shop, '/audit/operations?action=reveal&lang=en');
  const said = `Revealed the personal values of user …${user.slice(-8)}`;
  await rows(page).filter({ hasText: said }).first().locator('a.row').click();
  await page.getByText('to answer it').waitFor();
  const position = Number(new URL(page.url()).pathname.split('/').at(-1));
  for (const as of ['support', 'admin']) {
    const entry = await get(shop, `/api/audit/operations/${position}`, { as });
    assert.deepEqual(entry.json.reason, { personal: 'masked' }, as);
  }
  await see(page, shop, `/audit/operations/${position}?lang=zh-CN`);
  assert.match(await main.innerText(), /显示了“用户 .*”的个人信息/);
}, { role: 'auditor' });

each('operations are sentences that sign-ins do not push out, and are filtered and exported', async ({ page }, shop) => {
  await replayTool(shop, 'rebuild', 'users', '--reason', 'a test', '--yes');
  await see(page, shop, '/audit?lang=en');
  const main = page.locator('main');
  assert.match(await main.innerText(), /rebuild users as generation \d+, in run \d+/);
  assert.doesNotMatch(await main.innerText(), /Signed in|[{[]"/);
  await page.getByRole('link', { name: 'All operations' }).click();
  await page.waitForURL('**/audit/operations**');
  assert.match(await main.innerText(), /Sign-ins are left out/);
  await page.getByLabel('any operation').selectOption('rebuild');
  await page.locator('form.search button').click();
  await page.waitForURL('**action=rebuild**');
  const texts = await rows(page).locator('a.row').allInnerTexts();
  assert.ok(texts.length > 0 && texts.every((text) => /rebuild/.test(text)), texts.join('\n'));
  const shown = await rows(page).evaluateAll((found) => found.map((row) => row.dataset.position));
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('[data-export]').click()]);
  const file = await readFile(await download.path(), 'utf8');
  const taken = file.trimEnd().split('\r\n').slice(1).map((line) => line.split(',')[0]);
  assert.deepEqual(taken.slice(0, shown.length), shown);
  // Older ones, one page after the other, to the first.
  await see(page, shop, '/audit/operations?limit=1&sign_ins=1&lang=en');
  const seen = [];
  for (;;) {
    seen.push(...await rows(page).evaluateAll((found) => found.map((row) => Number(row.dataset.position))));
    const older = page.locator('a[rel=next]');
    if (await older.count() === 0 || seen.length === 5) break;
    await Promise.all([page.waitForNavigation(), older.click()]);
  }
  assert.deepEqual(seen, [...seen].sort((a, b) => b - a));
  assert.equal(new Set(seen).size, seen.length);
  await post(shop, '/users', { country: 'Chile' }, { as: 'operator' });
}, { role: 'ops' });
