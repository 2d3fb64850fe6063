// No byte of any answer shows personal values to a caller without the permission.
import assert from 'node:assert/strict';
import { see, visit } from './browser.mjs';
import { browser, check, mustFail, rows } from './harness.mjs';
import { PAGES } from './pages.mjs';
import { ANA, ANA_LATER, PERSONAL } from './seed.mjs';
import { call, get, post } from './shop.mjs';

function nothingPersonal(bytes, where) {
  const text = bytes.toLowerCase();
  for (const value of PERSONAL) {
    for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) {
      assert.ok(!text.includes(form.toLowerCase()), `${value} is in ${where}`);
    }
  }
}

// The first frames of the stream, as they come over the wire.
async function frames(shop, as) {
  const ending = new AbortController();
  const answer = await fetch(`${shop.origin}/api/audit/stream?after=0&html=1`,
    { headers: { authorization: `Bearer ${shop.keys[as]}` }, signal: ending.signal });
  assert.equal(answer.headers.get('content-type'), 'text/event-stream');
  let text = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if ((text.match(/^event: events$/gm) ?? []).length >= 3) break;
  }
  ending.abort();
  return text;
}

check(8, 'no byte of an answer to support holds a personal value', async ({ page }, shop) => {
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
  // The same values, asked of the shop itself.
  for (const as of ['support', 'ops', 'service', undefined]) {
    for (const path of ['/users', '/orders', `/users/${users.ana}`, `/users/${users.ana}?as_of=v:1`,
      `/orders/${orders.whole}`, `/orders/${orders.whole}?as_of=v:1`]) {
      bodies.push([`${path} as ${as ?? 'a guest'}`, (await get(shop, path, { as })).text]);
    }
  }
  for (const kind of ['csv', 'ndjson']) {
    bodies.push([`export.${kind}`, (await get(shop, `/api/audit/export.${kind}`, { as: 'support' })).text]);
  }
  const streamed = await frames(shop, 'support');
  assert.match(streamed, /UserRegistered/);
  bodies.push(['stream', streamed]);
  const captured = await Promise.all(bodies);
  assert.ok(captured.length >= paths.length + api.length);
  for (const [where, text] of captured) nothingPersonal(text, where);
  await mustFail('a value in the bytes', () => nothingPersonal(`${captured[0][1]} ${ANA.email.toUpperCase()}`, 'a page'));
});

check(8, 'masked and erased values look different', async ({ page }, shop) => {
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
  await mustFail('masked in place of erased', () => isErased(masked));
});

check(8, 'a search that could reveal a masked value is refused', async ({ page, watched }, shop) => {
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

const REVEALED = (user) => new RegExp(`Revealed the personal values of user …${user.slice(-8)}`);

// The entries of the record of operations, as its page shows them.
async function recorded(browser, shop, what) {
  const { context, page } = await visit(browser, shop, { role: 'admin' });
  try {
    await see(page, shop, '/audit/operations?limit=200&lang=en');
    return (await page.locator('ol.trail').last().locator('li').allInnerTexts()).filter((text) => what.test(text)).length;
  } finally {
    await context.close();
  }
}

check(8, 'an auditor reveals personal values for a reason, and that is recorded', async ({ page, watched }, shop) => {
  const { ana } = shop.made.users;
  const before = await recorded(browser, shop, REVEALED(ana));
  await see(page, shop, `/audit/a/user/${ana}?lang=en`);
  assert.ok(!(await page.content()).includes(ANA_LATER.phone));
  await page.locator('details.reveal:not(.leave) summary').click();
  await page.locator('details.reveal input[name=reason]').fill('a complaint of hers');
  await page.locator('details.reveal:not(.leave) button').click();
  await page.getByText(ANA_LATER.phone).first().waitFor();
  assert.ok(!page.url().includes('complaint'), 'the reason is in no address');
  const written = async () =>
    assert.equal(await recorded(browser, shop, REVEALED(ana)), before + 1);
  await written();
  // Masked again at the next visit, and always for support.
  await see(page, shop, `/audit/a/user/${ana}?lang=en`);
  assert.ok(!(await page.content()).includes(ANA_LATER.phone));
  const refused = await fetch(`${shop.origin}/audit/a/user/${ana}`, {
    method: 'POST', body: 'reason=a+complaint',
    headers: { authorization: `Bearer ${shop.keys.support}`, 'content-type': 'application/x-www-form-urlencoded' },
  });
  assert.equal(refused.status, 403);
  assert.deepEqual(watched, []);
  await post(shop, '/users', { country: 'Chile' }, { as: 'operator' });
  await page.locator('details.reveal:not(.leave) summary').click();
  await page.locator('details.reveal input[name=reason]').fill('once more');
  await page.locator('details.reveal:not(.leave) button').click();
  await page.getByText(ANA_LATER.phone).first().waitFor();
  await mustFail('one line too many', written);
}, { role: 'auditor' });

check(8, 'a look-up by e-mail address finds its person, and the value is in no URL', async ({ page }, shop) => {
  const addresses = [];
  page.on('request', (request) => addresses.push(request.url()));
  const before = await recorded(browser, shop, /Looked up a person/);
  await see(page, shop, '/audit/timeline?lang=en');
  await page.locator('summary', { hasText: 'Look up' }).click();
  await page.locator('input[name=value]').fill(ANA.email);
  await page.locator('form[action="/audit/look-up"] button').click();
  await page.waitForURL('**/audit/timeline?q=**');
  assert.equal(new URL(page.url()).searchParams.get('q'), `subject:${shop.made.users.ana}`);
  assert.ok((await rows(page).count()) >= 3);
  const silent = () => assert.ok(!addresses.some((url) => decodeURIComponent(url).includes('quux')), 'it is in an address');
  silent();
  assert.equal(await recorded(browser, shop, /Looked up a person/), before + 1);
  addresses.push(`${shop.origin}/audit/timeline?q=${ANA.email}`);
  await mustFail('an e-mail address in a URL', silent);
});
