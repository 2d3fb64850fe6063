// Checks of every page: accessibility, reflow, origin, language.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { see, sideways, violations, visit } from './browser.mjs';
import { browser, check, each, mustFail, shops } from './harness.mjs';
import { PAGES } from './pages.mjs';

const LOOKS = ['light', 'dark'].flatMap((colorScheme) => ['en', 'zh-CN'].map((locale) => ({ colorScheme, locale })));

// The look of a page does not depend on the store. The longest page only differs from a shorter one in length.
for (const { colorScheme, locale } of LOOKS) {
  check(13, `every page is accessible, ${colorScheme}, ${locale}`, async ({ page, watched }, shop) => {
    for (const [name, path] of Object.entries(PAGES(shop.made))) {
      if (name === 'long' && locale !== 'en') continue;
      await see(page, shop, path);
      assert.equal(await page.locator('html').getAttribute('lang'), locale);
      assert.deepEqual(await violations(page), [], name);
      assert.deepEqual(watched, [], name);
    }
  }, { colorScheme, locale, on: shops.slice(0, 1) });
}

each('check 13: at 320 px and at 200 % no page scrolls in two directions', async ({ page }, shop) => {
  // At 200 % a window of 1280 px is one of 640.
  for (const width of [320, 640]) {
    await page.setViewportSize({ width, height: 800 });
    for (const locale of ['en', 'zh-CN']) {
      for (const [name, path] of Object.entries(PAGES(shop.made))) {
        await see(page, shop, `${path}${path.includes('?') ? '&' : '?'}lang=${locale}`);
        assert.equal(await sideways(page), null, `${name} at ${width} px`);
      }
    }
  }
  await page.evaluate(() => (document.querySelector('h1').style.width = '900px'));
  assert.notEqual(await sideways(page), null, 'nobody noticed what is too wide');
}, { on: shops.slice(0, 1) });

test('a page that is broken on purpose fails each of these checks', async () => {
  const broken = `<!doctype html><title></title><body><img src="http://127.0.0.1:9/x.png"><a href="#"></a>
    <p style="color: #ccc; background: #fff">pale</p><input><script>nothing()</script></body>`;
  const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(broken));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { context, page, watched } = await visit(browser, { origin: `http://127.0.0.1:${server.address().port}` }, { role: null });
  try {
    await see(page, { origin: `http://127.0.0.1:${server.address().port}` }, '/');
    const found = (await violations(page)).map((violation) => violation.split(':')[0]);
    for (const rule of ['color-contrast', 'document-title', 'html-has-lang', 'image-alt', 'label', 'link-name']) {
      assert.ok(found.includes(rule), `${rule} is not among ${found}`);
    }
    assert.ok(watched.some((what) => what.startsWith('a request to')), 'nobody noticed the request to elsewhere');
    assert.ok(watched.some((what) => what.includes('nothing is not defined')), 'nobody noticed the script that failed');
  } finally {
    await context.close();
    server.close();
  }
});

// The words of a page, without ids, codes and parts marked as another language.
const words = (page) => page.evaluate(() => {
  const said = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const owner = walk.currentNode.parentElement;
    if (!owner.closest('code, time, script, [translate=no], [lang]:not(html)')) said.push(walk.currentNode.textContent);
  }
  // A field and a code have their names in the API as their titles.
  for (const one of document.querySelectorAll('[aria-label], [placeholder], [title]:not(.field, .coded)')) {
    said.push(one.getAttribute('aria-label') ?? '', one.getAttribute('title') ?? '');
  }
  return said.join('\n');
});

// Names of products, codes and ids are shown unchanged in sentences.
const AS_THEY_ARE = /\bssk_[0-9a-f]+\b|[0-9a-f]{8}-[0-9a-f-]{27}|…[0-9a-f]{8}\b|“[^”]*”|\b[A-Z]+-[A-Z0-9]+\b|\b(?:API|GBP|UTC|JSON|CSV|NDJSON|SoonShop)\b|\b[a-z_]+:[0-9a-z-]+|\b[vVdD]\d+\b/g;

function speaksChinese(said, name) {
  const english = said.replace(AS_THEY_ARE, ' ').match(/[A-Za-z][A-Za-z']+(?: [A-Za-z']+)*/g) ?? [];
  assert.deepEqual([...new Set(english)], [], `${name} has English words`);
  assert.match(said, /\p{Script=Han}{2}/u, `${name} has no Chinese words`);
}

check(14, 'no Chinese page contains English', async ({ page }, shop) => {
  for (const [name, path] of Object.entries(PAGES(shop.made))) {
    await see(page, shop, path);
    speaksChinese(await words(page), name);
    assert.match(await page.title(), /\p{Script=Han}/u, name);
  }
  await page.evaluate(() => document.querySelector('main').insertAdjacentHTML('beforeend', '<p>Nothing matches</p>'));
  const left = await words(page);
  await mustFail('English on a Chinese page', () => speaksChinese(left, 'the last page'));
}, { locale: 'zh-CN', on: shops.slice(0, 1) });

// Every time on a page is in the chosen zone, and has its UTC value as well.
async function inShanghai(page, name) {
  const times = await page.locator('time').evaluateAll((found) => found.map((time) => [time.textContent, time.dateTime, time.title]));
  for (const [shown, moment, hovered] of times) {
    const there = new Date(Date.parse(moment) + 8 * 3_600_000).toISOString().replace('T', ' ').slice(0, 23);
    assert.equal(shown, `${there} +08:00`, name);
    assert.match(moment, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, name);
    assert.equal(hovered, moment, name);
  }
  assert.doesNotMatch(await page.locator('main').innerText(), /\bUTC\b/, `${name} speaks of UTC`);
  return times.length;
}

check(14, 'a chosen time zone applies to every time on every page, and copied times stay UTC', async ({ page }, shop) => {
  await see(page, shop, '/audit/timeline?tz=Asia/Shanghai&lang=en');
  const counted = {};
  for (const [name, path] of Object.entries(PAGES(shop.made))) {
    await see(page, shop, path);
    counted[name] = await inShanghai(page, name);
  }
  for (const name of ['overview', 'timeline', 'order', 'correlation', 'projection', 'run', 'integrity']) {
    assert.ok(counted[name] > 0, `no moment on ${name}`);
  }
  await see(page, shop, '/audit/timeline?tz=UTC');
  await mustFail('another zone', () => inShanghai(page, 'timeline'));
}, { on: shops.slice(0, 1) });

check(13, 'by keyboard alone an order is found, stepped through, followed, exported, and left again', async ({ page }, shop) => {
  const { orders, correlation } = shop.made;
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  // Shortcuts only work once the script has loaded.
  const at = async (pattern) => {
    await page.waitForURL((url) => pattern.test(url.href));
    await page.waitForLoadState();
  };
  await see(page, shop, '/audit?lang=en');
  await press('g', 't');
  await at(/\/audit\/timeline/);
  await press('/');
  await page.keyboard.type(`id:${orders.whole}`);
  await press('Enter');
  await at(/q=id/);
  await press('j', 'j', 'k', 'j');
  const row = await page.evaluate(() => document.activeElement.closest('li')?.dataset.position);
  assert.ok(row, 'no row has the focus');
  const found = page.url();
  await press('Enter');
  await at(new RegExp(`/audit/a/order/${orders.whole}`));
  // Its second newest event of four: placed, confirmed, shipped, credited.
  await press('[');
  await at(/v=2\b/);
  await press(']');
  await at(/v=3\b/);
  // Moves to the cause, by Tab.
  const onto = async (href) => {
    for (let step = 0; step < 60; step += 1) {
      await press('Tab');
      if ((await page.evaluate(() => document.activeElement.getAttribute('href')))?.includes(href)) return;
    }
    assert.fail(`${href} cannot be reached`);
  };
  await onto(`/audit/c/${correlation}`);
  await press('Enter');
  await at(new RegExp(`/audit/c/${correlation}`));
  await page.goBack();
  await page.goto(found);
  await page.locator('a.row').first().waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), press('e')]);
  assert.equal(download.suggestedFilename(), 'timeline.csv');
  await press('?');
  await at(/\/audit\/keys/);
  await mustFail('a link that no key reaches', () => onto('/audit/nowhere'));
}, { on: shops.slice(0, 1) });

each('check 13: the sign-in page is accessible', async ({ page, watched }, shop) => {
  await see(page, shop, '/audit/timeline?lang=zh-CN');
  assert.equal(new URL(page.url()).pathname, '/audit/sign-in');
  assert.deepEqual(await violations(page), []);
  speaksChinese(await words(page), 'sign-in');
  await page.setViewportSize({ width: 320, height: 700 });
  assert.equal(await sideways(page), null);
  await page.locator('input[name=key]').fill('ssk_of-nobody');
  await page.keyboard.press('Enter');
  await page.locator('[role=alert]').waitFor();
  assert.deepEqual(await violations(page), []);
  watched.length = 0;
  await page.locator('input[name=key]').fill(shop.keys.auditor);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/audit/timeline**');
  assert.ok((await page.locator('a.row').count()) > 0);
}, { role: null, locale: 'zh-CN' });
