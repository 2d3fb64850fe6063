// Every page in every state can be read and pressed: also enlarged, on a narrow screen, and where something is refused.
import assert from 'node:assert/strict';
import { see, sideways, violations } from './browser.mjs';
import { check, mustFail, shops } from './harness.mjs';
import { PAGES, STATES } from './pages.mjs';
import { place, remove, serve } from './shop.mjs';
import { smallUnfolded } from './targets.mjs';

const on = shops.slice(0, 1);
const LANGUAGES = ['en', 'zh-CN'];
const inLanguage = (path, locale) => `${path}${path.includes('?') ? '&' : '?'}lang=${locale}`;

// Every page and every state; each is opened, and must have its status. The browser reports refused pages.
async function* all({ page, watched }, shop, { only } = {}) {
  const pages = only === 'states' ? [] : Object.entries(PAGES(shop.made)).map(([name, path]) => [name, path, 200]);
  const states = Object.entries(STATES(shop.made)).map(([name, [path, status]]) => [name, path, status]);
  for (const locale of LANGUAGES) {
    for (const [name, path, status] of [...pages, ...states]) {
      const answer = await page.goto(`${shop.origin}${inLanguage(path, locale)}`);
      assert.equal(answer.status(), status, path);
      assert.match(answer.headers()['content-type'], /^text\/html/, path);
      assert.equal(await page.locator('html').getAttribute('lang'), locale, path);
      yield `${name} (${locale})`;
    }
  }
  const refused = watched.splice(0);
  assert.deepEqual(refused.filter((what) => !/status of 4\d\d/.test(what)), []);
}

const ZOOMED = { 'at 200 %': { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 }, 'at 320 px': { viewport: { width: 320, height: 640 } } };
for (const [size, options] of Object.entries(ZOOMED)) {
  check(13, `no page and no state of one overflows ${size}`, async (window, shop) => {
    for await (const name of all(window, shop)) {
      assert.equal(await sideways(window.page), null, name);
      await window.page.evaluate(() => document.querySelectorAll('details:not(.menu)').forEach((fold) => { fold.open = true; }));
      assert.equal(await sideways(window.page), null, `${name}, unfolded`);
    }
    await window.page.evaluate(() => (document.querySelector('h1').style.width = '900px'));
    assert.notEqual(await sideways(window.page), null, 'nobody noticed what is too wide');
  }, { ...options, role: 'auditor', on });
}

for (const [size, viewport] of Object.entries({ wide: { width: 1280, height: 900 }, narrow: { width: 400, height: 800 } })) {
  check(13, `everything that can be pressed is 24 px large, or far from the rest, ${size}`, async (window, shop) => {
    const found = [];
    for await (const name of all(window, shop)) found.push(...(await smallUnfolded(window.page)).map((what) => `${name}: ${what}`));
    assert.deepEqual(found, []);
    await window.page.evaluate(() => {
      document.querySelector('main').insertAdjacentHTML('afterbegin', '<p><a href="#a">a</a><a href="#b">b</a></p>');
      document.querySelector('main p').style.display = 'flex';
    });
    await mustFail('two small links beside each other', async () => assert.deepEqual(await smallUnfolded(window.page), []));
  }, { viewport, role: 'auditor', on });
}

check(13, 'what is refused is an accessible page', async (window, shop) => {
  for await (const name of all(window, shop, { only: 'states' })) assert.deepEqual(await violations(window.page), [], name);
}, { role: 'auditor', on });

// The request of a browser that opens an address.
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8' };

check(13, 'a browser gets a page for every refusal, and a program a problem', async (_, shop) => {
  const tooMany = await place('embedded');
  tooMany.env.SOONSHOP_RATE = 'reads=2/60s';
  try {
    const strict = await serve(tooMany);
    const large = { method: 'POST', body: 'x'.repeat(300 * 1024), headers: { 'content-type': 'application/json' } };
    for (const [origin, path, status, options] of [
      [shop.origin, '/api/audit/timeline', 403, {}],
      [shop.origin, '/audit/no-such-page', 404, {}],
      [shop.origin, '/orders/00000000-0000-4000-8000-000000000000', 404, {}],
      [shop.origin, '/orders', 405, { method: 'PATCH' }],
      [shop.origin, '/orders', 413, large],
      [shop.origin, `/orders?${'x'.repeat(20_000)}`, 414, {}],
      [shop.origin, '/api/audit/timeline', 401, { headers: { authorization: 'Bearer ssk_of-nobody' } }],
      [strict.origin, '/orders', 429, {}],
    ]) {
      const ask = (headers) => fetch(`${origin}${path}`, { ...options, headers: { ...options.headers, ...headers } });
      if (status === 429) for (let count = 0; count < 3; count += 1) await ask({});
      const page = await ask(BROWSER);
      assert.equal(page.status, status, path.slice(0, 80));
      assert.match(page.headers.get('content-type'), /^text\/html/, path.slice(0, 80));
      assert.match(await page.text(), /<main[^]*<h1>/);
      const problem = await ask({ accept: 'application/json' });
      assert.equal(problem.headers.get('content-type'), 'application/problem+json', path.slice(0, 80));
      if (status === 429) assert.ok(Number(page.headers.get('retry-after')) > 0);
    }
  } finally {
    await remove(tooMany);
  }
}, { on });
