// What holds for every page: accessibility, reflow, its own origin, its language.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { see, sideways, violations, visit } from './browser.mjs';
import { browser, check, each, mustFail, shops } from './harness.mjs';
import { PAGES } from './pages.mjs';

const LOOKS = ['light', 'dark'].flatMap((colorScheme) => ['en', 'zh-CN'].map((locale) => ({ colorScheme, locale })));

for (const { colorScheme, locale } of LOOKS) {
  check(13, `no page is out of anybody's reach, ${colorScheme}, ${locale}`, async ({ page, watched }, shop) => {
    for (const [name, path] of Object.entries(PAGES(shop.made))) {
      await see(page, shop, path);
      assert.equal(await page.locator('html').getAttribute('lang'), locale);
      assert.deepEqual(await violations(page), [], name);
      assert.deepEqual(watched, [], name);
    }
  }, { colorScheme, locale, on: locale === 'en' && colorScheme === 'light' ? shops : shops.slice(0, 1) });
}

each('check 13: at 320 px and at 200 % no page scrolls in two ways', async ({ page }, shop) => {
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

test('a page that is broken on purpose does not get past any of these', async () => {
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
