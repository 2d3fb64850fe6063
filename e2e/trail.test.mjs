// One aggregate and one correlation: who and why, what changed, the slider, the same code, causes.
import assert from 'node:assert/strict';
import { see, violations, visit } from './browser.mjs';
import { browser, check, each, events as eventsOf, firstFields, mustFail, rows } from './harness.mjs';
import { ANA_LATER, LONG } from './seed.mjs';
import { call, eventually, get, replayTool, sql } from './shop.mjs';

const audit = async (shop, path, as = 'support') => (await get(shop, `/api/audit${path}`, { as })).json;

const UUID = /[0-9a-f]{8}-[0-9a-f-]{27}/;
const CHANNELS = { storefront: 'storefront', admin: 'administration', api: 'API', webhook: 'webhook', job: 'job', cli: 'command line', process: 'process' };

// Each row names the kind of its actor and what the key is for (an actor without a key: its id), the channel, and for
// staff the reason.
function rowsSayWho(texts, items, names = {}) {
  assert.equal(texts.length, items.length);
  items.forEach((item, index) => {
    const text = texts[index];
    const [kind, id] = typeof item.actor === 'string' ? item.actor.split(/:(.*)/) : [item.actor.kind, item.actor.id];
    const name = item.actor.name ?? names[id]?.name ?? id;
    assert.match(text, new RegExp(`\\b${kind}\\s+${name}`), `no “${kind} ${name}”`);
    assert.ok(!UUID.test(name), `an id in place of a name: ${name}`);
    assert.ok(text.includes(CHANNELS[item.channel]), `no “${CHANNELS[item.channel]}”: ${text}`);
    if (item.on_behalf_of) assert.ok(text.includes(item.on_behalf_of.split(':')[0]), `nobody's behalf: ${text}`);
    if (item.reason_code) assert.ok(text.includes(item.reason_code), `no reason: ${text}`);
    if (kind === 'staff') assert.ok(item.reason_code, `staff gave no reason: ${text}`);
  });
}

check(1, 'every row of a refunded order says who did it, through which channel, and why', async ({ page }, shop) => {
  const { items } = await audit(shop, `/c/${shop.made.correlation}`);
  assert.deepEqual([...new Set(items.map((item) => item.actor.kind))].sort(), ['service', 'staff', 'system']);
  await see(page, shop, `/audit/c/${shop.made.correlation}?lang=en`);
  const texts = await eventsOf(page).allInnerTexts();
  rowsSayWho(texts, items);
  assert.match(texts[0], /storefront[^]*on behalf of customer/, 'what came through the storefront is a customer’s');
  const { events, names } = await audit(shop, `/a/order/${shop.made.orders.whole}`);
  await see(page, shop, `/audit/a/order/${shop.made.orders.whole}?lang=en`);
  rowsSayWho(await rows(page).allInnerTexts(), events, names);
  await mustFail('a bare “system”', () => rowsSayWho(texts.map((text) => text.replace(/system\s+fulfilment/, 'system')), items));
  await mustFail('a reason that is missing', () => rowsSayWho(texts.map((text) => text.replace('goods-damaged', '')), items));
});

// The table of changes, by path.
const changes = (page) => page.locator('table').first().locator('tbody tr').evaluateAll((found) => found.map((row) => row.cells[0].innerText));

async function sameChanges(page, shop, kind, id, from, to) {
  await see(page, shop, `/audit/a/${kind}/${id}?v=${to}&cmp=${from}&lang=en`);
  const { diff } = await audit(shop, `/a/${kind}/${id}?v=${to}&cmp=${from}`);
  const result = await replayTool(shop, 'diff', kind, id, `v${from}`, `v${to}`, '--json');
  assert.equal(result.code, 0, result.stderr);
  const lines = result.stdout.trim().split('\n').map((line) => JSON.parse(line));
  const tool = lines.filter((line) => line.message_type === 'diff');
  const bare = ({ path, before, after }) => ({ path, before, after });
  const sorted = (list) => list.map(bare).sort((a, b) => (a.path < b.path ? -1 : 1));
  assert.deepEqual(sorted(tool), sorted(diff.changes));
  assert.deepEqual(await changes(page), diff.changes.map((change) => change.path));
  return diff.changes;
}

check(2, 'the page shows the same changes as replay-tool', async ({ page }, shop) => {
  const { ana } = shop.made.users;
  const corrected = await sameChanges(page, shop, 'user', ana, 1, 2);
  assert.deepEqual(corrected.map((change) => change.path), ['/phone']);
  const phone = page.locator('table').first().locator('tbody tr');
  assert.match(await phone.innerText(), /masked/);
  assert.ok(!(await page.content()).includes(ANA_LATER.phone));
  const order = await sameChanges(page, shop, 'order', shop.made.orders.whole, 1, 3);
  assert.deepEqual(order, [{ path: '/status', before: 'placed', after: 'shipped' }]);
  assert.match(await page.locator('table').first().innerText(), /placed[^]*shipped/);
  const long = await sameChanges(page, shop, 'product', shop.made.long, 3, 15);
  assert.deepEqual(long.map((change) => [change.before.amount, change.after.amount]), [[503, 515]]);
  await page.evaluate(() => document.querySelector('table tbody tr').remove());
  await mustFail('a change that is not shown', async () => assert.deepEqual(await changes(page), long.map((change) => change.path)));
});

// The text as a screen reader gets it.
const said = async (place) => (await place.innerText()).replace(/\s+/g, ' ').trim();

// The changed fields of each row, by position.
const changesOfRows = (page) => rows(page).evaluateAll((found) => Object.fromEntries(found.map((row) =>
  [row.dataset.position, [...row.querySelectorAll('[data-path]')].map((field) => field.dataset.path)])));

check(2, 'a timeline row shows the same changed fields as the page of the aggregate', async ({ page }, shop) => {
  const { ana } = shop.made.users;
  const wanted = {};
  for (const [kind, id, versions] of [['user', ana, 2], ['order', shop.made.orders.whole, 4]]) {
    await see(page, shop, `/audit/timeline?q=id:${id}+agg:${kind}&lang=en`);
    for (let version = 1; version <= versions; version += 1) {
      const { diff, events } = await audit(shop, `/a/${kind}/${id}?v=${version}`);
      const event = events.find((one) => one.version === version);
      wanted[event.position] = version === 1 ? [] : firstFields(diff.changes);
    }
    const same = async () => {
      for (const [position, paths] of Object.entries(await changesOfRows(page))) assert.deepEqual(paths, wanted[position], position);
    };
    await same();
    await rows(page).first().locator('[data-path]').first().evaluate((field) => field.remove());
    await mustFail('a field that is not shown', same);
  }
  assert.equal(Object.values(wanted).flat().filter((path) => path === '/status').length, 2);
  await see(page, shop, `/audit/timeline?q=id:${shop.made.orders.whole}+type:OrderShipped&lang=en`);
  assert.match(await said(rows(page).first().locator('.changes')), /^status Before confirmed → After shipped$/);
  await see(page, shop, `/audit/timeline?q=id:${ana}+type:UserDetailsChanged&lang=en`);
  const phone = rows(page).first().locator('.changes');
  const nothingElse = async () => assert.equal(await said(phone), 'phone •••• masked, changed');
  await nothingElse();
  assert.ok(!(await page.content()).includes(ANA_LATER.phone));
  await phone.evaluate((line) => line.append(' 456'));
  await mustFail('a part of a masked value', nothingElse);
});

// State, selected row, title and address show the same version.
async function stands(page, version) {
  assert.equal(new URL(page.url()).searchParams.get('v'), String(version), 'address');
  assert.match(await page.locator('li[aria-current]').innerText(), new RegExp(`^v${version}\\b`), 'selected row');
  assert.match(await page.locator('main').innerText(), new RegExp(`v${version - 1} → v${version}\\b`), 'changes');
  assert.match(await page.locator('main').innerText(), new RegExp(`v${version}\\b[^]*GBP ${(version === 1 ? 5 : (500 + version) / 100).toFixed(2)}\\b`), 'state');
  assert.equal(await page.locator('input[type=range]').inputValue(), String(version), 'slider');
}

check(3, 'without scripts every version can be reached by links and by the form', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/product/${shop.made.long}?v=250&lang=en`);
  await stands(page, 250);
  await page.locator('a[rel=next]').click();
  await stands(page, 251);
  await page.locator('li', { hasText: /^v260\b/ }).locator('a').first().click();
  await stands(page, 260);
  await page.locator('input[type=range]').focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('form.slider [data-go-button]').click();
  await stands(page, 261);
  const { context, page: other } = await visit(browser, shop);
  await see(other, shop, new URL(page.url()).pathname + new URL(page.url()).search);
  await stands(other, 261);
  await context.close();
  await page.locator('li[aria-current]').evaluate((row) => row.removeAttribute('aria-current'));
  await mustFail('a version that is not selected', async () => assert.equal(await page.locator('li[aria-current]').count(), 1));
}, { javaScriptEnabled: false });

check(3, 'the slider moves state, row, title and address together, without a reload', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/product/${shop.made.long}?v=250&lang=en`);
  await page.evaluate(() => (window.notReloaded = true));
  const slider = page.locator('input[type=range]');
  await slider.focus();
  for (const [key, version] of [['ArrowRight', 251], ['PageUp', 261], ['PageDown', 251], ['Home', 1], ['ArrowRight', 2], ['End', LONG], ['ArrowLeft', LONG - 1]]) {
    await page.keyboard.press(key);
    await page.waitForURL((url) => url.searchParams.get('v') === String(version));
    await page.locator('.steps', { hasText: `Version ${version} ` }).waitFor();
    await stands(page, version);
    assert.match(await page.title(), new RegExp(`version ${version}\\b`), 'title');
    assert.match(await slider.getAttribute('aria-valuetext'), new RegExp(`^version ${version} of ${LONG}`), 'what a reader hears');
    assert.ok(await slider.evaluate((it) => it === document.activeElement), 'the slider keeps the focus');
  }
  assert.ok(await page.evaluate(() => window.notReloaded), 'the page was loaded again');
  const { context, page: other } = await visit(browser, shop);
  await see(other, shop, page.url().slice(shop.origin.length));
  await stands(other, LONG - 1);
  await context.close();
  await page.evaluate((url) => history.replaceState({}, '', url), page.url().replace(`v=${LONG - 1}`, 'v=7'));
  await mustFail('an address of another version', () => stands(page, LONG - 1));
});

check(3, 'the history plays one version per second to its end, and stops at any key or click', async ({ page }, shop) => {
  const at = (version) => page.waitForURL((url) => url.searchParams.get('v') === String(version), { timeout: 20_000 });
  const button = page.locator('[data-play]');
  await see(page, shop, `/audit/a/product/${shop.made.long}?v=${LONG - 2}&lang=en`);
  await button.focus();
  await page.keyboard.press('Enter');
  assert.equal(await button.innerText(), 'Stop');
  const begun = Date.now();
  await at(LONG - 1);
  await at(LONG);
  assert.ok(Date.now() - begun > 1_500, 'a second each');
  await page.locator('[data-play][aria-pressed=false]').waitFor();
  assert.ok(await button.evaluate((it) => it === document.activeElement), 'the button keeps the focus');
  // At the end it starts again.
  await page.keyboard.press('Enter');
  await at(1);
  await at(2);
  for (const stop of [() => page.keyboard.press('Shift'), () => page.locator('h1').click(), () => button.click()]) {
    const stopped = async () => assert.equal(await button.getAttribute('aria-pressed'), 'false');
    if ((await button.getAttribute('aria-pressed')) === 'false') await page.evaluate(() => document.querySelector('[data-play]').click());
    await page.locator('[data-play][aria-pressed=true]').waitFor();
    await mustFail('that it is still playing', stopped);
    await stop();
    await stopped();
    // A key press within half a second is not taken as a new start.
    await page.waitForTimeout(600);
  }
});

check(3, 'with reduced motion, or without scripts, nothing plays', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/product/${shop.made.long}?v=7&lang=en`);
  assert.ok(await page.locator('[data-slider]').isVisible());
  assert.ok(!(await page.locator('[data-play]').isVisible()));
}, { reducedMotion: 'reduce' });

each('a note on an event is private until it is shared', async ({ page }, shop) => {
  const address = `/audit/a/order/${shop.made.orders.cancelled}?v=2&lang=en`;
  const note = async (text, shared) => {
    await see(page, shop, address);
    await page.locator('details.leave summary').click();
    await page.locator('#note').fill(text);
    await page.locator('#tags').fill('call-back late');
    if (shared) await page.locator('input[name=shared]').check();
    assert.deepEqual(await violations(page), []);
    await page.locator('details.leave button').click();
    await page.waitForURL((url) => url.hash === '#v2');
    assert.match(await page.locator('li[aria-current] .note').last().innerText(), new RegExp(`${text}[^]*call-back[^]*late`));
  };
  await note('mine alone');
  await note('for everybody', true);
  assert.deepEqual(await violations(page), []);
  const { context, page: other } = await visit(browser, shop, { role: 'auditor' });
  await see(other, shop, address);
  const noteIsHidden = async () => {
    const text = await other.locator('li[aria-current]').innerText();
    assert.match(text, /for everybody/);
    assert.doesNotMatch(text, /mine alone/);
  };
  await noteIsHidden();
  await other.locator('.note').first().evaluate((it) => { it.innerText = 'mine alone'; });
  await mustFail('a private note shown to others', noteIsHidden);
  await context.close();
});

// The state from the tool and from the endpoint, compared as bytes.
async function sameState(shop, kind, id, tampered = (state) => state) {
  const { state } = await audit(shop, `/a/${kind}/${id}`);
  const result = await replayTool(shop, 'show', kind, id, '--json');
  assert.equal(result.code, 0, result.stderr);
  const tool = JSON.parse(result.stdout.split('\n')[0]).state;
  assert.equal(JSON.stringify(tampered(tool)), JSON.stringify(state));
  // The whole answer is the same, byte for byte; a seal may come in between.
  await eventually(`${kind} ${id} is printed as it is answered`, async () => {
    const answer = await get(shop, `/api/audit/a/${kind}/${id}`, { as: 'ops' });
    return (await replayTool(shop, 'show', kind, id, '--format', 'json')).stdout === answer.text;
  });
  return state;
}

check(4, 'the state equals that of the tool, and the page names the code that computed it', async ({ page }, shop) => {
  const { users, orders, creditNote, formula, long } = shop.made;
  for (const [kind, id] of [['order', orders.whole], ['order', orders.refused], ['user', users.ana], ['user', users.zoe],
    ['credit_note', creditNote], ['product', formula], ['product', long]]) {
    await sameState(shop, kind, id);
  }
  const state = await sameState(shop, 'order', orders.whole);
  assert.equal(state.status, 'shipped');
  assert.equal((await get(shop, `/orders/${orders.whole}`)).json.status, state.status, 'and what is sold by');
  await see(page, shop, `/audit/a/order/${orders.whole}?lang=en`);
  assert.match(await page.locator('footer').innerText(), /soonshop \d+\.\d+\.\d+/);
  assert.match(await page.locator('table').last().locator('tr', { hasText: '/status' }).innerText(), /shipped/);
  await mustFail('another state', () => sameState(shop, 'order', orders.whole, (tool) => ({ ...tool, status: 'placed' })));
});

check(5, 'an event of an order leads to everything that followed, in the order of causes', async ({ page }, shop) => {
  await see(page, shop, `/audit/a/order/${shop.made.orders.whole}?lang=en`);
  await rows(page).first().locator(`a[href*="/audit/c/${shop.made.correlation}"]`).click();
  const { items } = await audit(shop, `/c/${shop.made.correlation}`);
  assert.deepEqual(new Set(items.map((item) => item.aggregate_type)), new Set(['order', 'stock', 'credit_note']));
  const inOrder = async () => {
    const texts = await eventsOf(page).allInnerTexts();
    assert.deepEqual(texts.map((text) => Number(text.match(/#(\d+)/)[1])), items.map((item) => item.position));
  };
  await inOrder();
  // By keyboard alone, every event is reached, in the same order.
  assert.deepEqual(await reachedByTab(page, items.length), items.map((item) => item.position));
  await page.evaluate(() => document.querySelector('ol.trail').append(document.querySelector('ol.trail > li')));
  await mustFail('another order', inOrder);
});

// The positions of the events that Tab reaches, in order.
async function reachedByTab(page, most) {
  const reached = [];
  await page.locator('main').evaluate((main) => { main.tabIndex = -1; main.focus(); });
  for (let step = 0; step < most * 5 && reached.length < most; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => document.activeElement.closest('[data-position]')?.dataset.position);
    if (at && reached.at(-1) !== Number(at)) reached.push(Number(at));
  }
  return reached;
}

check(5, 'table, waterfall and tree have the same rows in the same order, and work by keyboard', async ({ page }, shop) => {
  const address = `/audit/c/${shop.made.correlation}?lang=en`;
  const places = () => page.locator('main [data-position]').evaluateAll((found) => found.map((row) => Number(row.dataset.position)));
  const said = () => page.locator('main [data-position] a.row').allInnerTexts();
  await see(page, shop, address);
  const [falls, sentences] = [await places(), await said()];
  assert.ok(falls.length > 3);
  for (const view of ['tree', 'table']) {
    await see(page, shop, address);
    // By keyboard alone: to the other view, and through its rows.
    await page.locator('.pick a', { hasText: view === 'tree' ? 'Tree' : 'Table' }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.searchParams.get('view') === view);
    const same = async () => {
      assert.deepEqual(await places(), falls);
      assert.deepEqual(await said(), sentences);
    };
    await same();
    assert.deepEqual(await reachedByTab(page, falls.length), falls, `${view} by Tab`);
    await page.locator('a.row').first().focus();
    for (const position of falls.slice(1)) {
      await page.keyboard.press('j');
      assert.equal(await page.evaluate(() => Number(document.activeElement.closest('[data-position]')?.dataset.position)), position, `${view} by j`);
    }
    await page.evaluate(() => document.querySelector('main [data-position]').remove());
    await mustFail('a missing row', same);
  }
  // One row is selected: it has the focus, and all its details are shown.
  await see(page, shop, `${address}&view=table&sel=${falls[1]}`);
  const chosen = page.locator('tr[aria-current=true]');
  assert.equal(Number(await chosen.getAttribute('data-position')), falls[1]);
  assert.ok(await chosen.evaluate((row) => row.contains(document.activeElement)), 'the focus is in the row');
  assert.match(await chosen.innerText(), /Occurred[^]*Recorded/);
  assert.deepEqual(await violations(page), []);
});

check(5, 'a pause of hours is shortened, and its length is shown', async ({ page }, shop) => {
  // A test cannot wait for hours: the recorded times are moved, and moved back.
  const { correlation } = shop.made;
  const { items } = await audit(shop, `/c/${correlation}`);
  const shipped = items.find((item) => item.type === 'OrderShipped').position;
  const later = (sign) => sql(shop, 'rm_audit_1', `UPDATE audit SET recorded_at = recorded_at ${sign} 7200000000
    WHERE correlation_id = '${correlation}' AND position >= ${shipped};`);
  const compressed = async () => {
    assert.match(await page.locator('.facts').innerText(), /idle 2 h/);
    assert.equal(await page.locator('svg.axis line.gap').count(), 1, 'one gap is drawn');
    assert.match(await page.locator('svg.axis').textContent(), /⁄⁄ 2 h ⁄⁄/, 'with its length');
  };
  await see(page, shop, `/audit/c/${correlation}?lang=en`);
  await mustFail('a missing pause', compressed);
  await later('+');
  try {
    await see(page, shop, `/audit/c/${correlation}?lang=en`);
    await compressed();
    // Every bar is on the axis, and its figures are beside it.
    assert.equal(await eventsOf(page).count(), items.length);
    assert.equal(await page.locator('svg.fall[aria-hidden=true]').count(), items.length);
    await page.locator('.pick a', { hasText: 'pauses at full length' }).click();
    await mustFail('a pause at its full length', compressed);
  } finally {
    await later('-');
  }
});

check(5, 'a parked event is shown in its place among the others', async ({ page }, shop) => {
  const parked = shop.made.orders.parked;
  assert.equal((await call(shop, 'GET', `/orders/${parked}`, { status: 404 })).status, 404);
  await see(page, shop, `/audit/c/${shop.made.parkedCorrelation}?lang=en`);
  const first = eventsOf(page).first();
  const inPlace = async () => assert.match(await first.innerText(), /was placed[^]*Parked: rm_orders_1[^]*OrderPlaced #/);
  await inPlace();
  const { items } = await audit(shop, `/c/${shop.made.parkedCorrelation}`);
  assert.deepEqual(items.find((item) => item.type === 'OrderPlaced').parked, ['rm_orders_1']);
  assert.match(await page.locator('.facts').innerText(), /\d+ parked/);
  await first.locator('a[href*="/audit/parked"].ill').click();
  assert.match(await page.locator('main').innerText(), new RegExp(`order-${parked}`));
  await page.goBack();
  await first.locator('a[href*="/audit/parked"].ill').evaluate((mark) => mark.remove());
  await mustFail('a parked event without its mark', inPlace);
});
