// What is personal gets to nobody who may not see it, in any byte of any answer.
import assert from 'node:assert/strict';
import { see } from './browser.mjs';
import { check, mustFail, rows } from './harness.mjs';
import { PAGES } from './pages.mjs';
import { ANA, PERSONAL } from './seed.mjs';
import { call, get } from './shop.mjs';

function nothingPersonal(bytes, where) {
  const text = bytes.toLowerCase();
  for (const value of PERSONAL) {
    for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) {
      assert.ok(!text.includes(form.toLowerCase()), `${value} is in ${where}`);
    }
  }
}

check(8, 'no byte that support is sent holds a personal value', async ({ page }, shop) => {
  const bodies = [];
  page.on('response', (answer) => bodies.push(answer.body().then((body) => [answer.url(), body.toString()], () => [answer.url(), ''])));
  const { users, orders, correlation, parkedCorrelation } = shop.made;
  const paths = [...Object.values(PAGES(shop.made)), `/audit/a/user/${users.ana}`, `/audit/a/user/${users.ana}?v=2&cmp=1`,
    `/audit/a/order/${orders.parked}`, `/audit/c/${parkedCorrelation}`, `/audit/timeline?q=subject:${users.ana}`];
  for (const path of paths) await see(page, shop, path);
  const api = [`/timeline?limit=200`, `/timeline?limit=200&order=asc`, `/timeline?q=subject:${users.ana}`, `/a/user/${users.ana}`,
    `/a/user/${users.zoe}`, `/a/order/${orders.whole}`, `/a/order/${orders.whole}?v=1&cmp=0`, `/a/order/${orders.erased}`, `/c/${correlation}`];
  for (const path of api) {
    const answer = await get(shop, `/api/audit${path}`, { as: 'support' });
    bodies.push([path, answer.text]);
    bodies.push([`headers of ${path}`, JSON.stringify([...answer.headers])]);
  }
  const captured = await Promise.all(bodies);
  assert.ok(captured.length >= paths.length + api.length);
  for (const [where, text] of captured) nothingPersonal(text, where);
  await mustFail('a value in the bytes', () => nothingPersonal(`${captured[0][1]} ${ANA.email.toUpperCase()}`, 'a page'));
});

check(8, 'masked is one thing and erased another', async ({ page }, shop) => {
  const said = async (id) => {
    await see(page, shop, `/audit/a/user/${id}?v=1&lang=en`);
    return page.locator('table').last().locator('tr', { hasText: '/email' }).innerText();
  };
  const isErased = (text) => {
    assert.match(text, /erased/);
    assert.doesNotMatch(text, /masked/);
  };
  isErased(await said(shop.made.users.zoe));
  const masked = await said(shop.made.users.ana);
  assert.match(masked, /masked/);
  await mustFail('masked in the place of erased', () => isErased(masked));
});

check(8, 'what would tell of a masked value by a search is refused', async ({ page, watched }, shop) => {
  for (const query of ['q=email:ana*', 'q=phone:%2B49*', 'sort=email', 'email=ana*', 'q=-email:a']) {
    const answer = await call(shop, 'GET', `/api/audit/timeline?${query}`, { as: 'support', status: 400 });
    assert.equal(answer.json.type, '/problems/invalid-query');
    const shown = await page.goto(`${shop.origin}/audit/timeline?${query}`);
    assert.equal(shown.status(), 400, query);
    assert.equal(await rows(page).count(), 0, query);
  }
  watched.length = 0;
  for (const text of [ANA.email, 'quux', 'Zugspitze', '7700']) {
    const found = await get(shop, `/api/audit/timeline?q=${encodeURIComponent(text)}`, { as: 'support' });
    assert.equal(found.json.items.length, 0, `${text} is found`);
  }
  const known = await get(shop, '/api/audit/timeline?q=weathercock', { as: 'support' });
  await mustFail('that something is found', () => assert.equal(known.json.items.length, 0));
});
