// The sign-in page with an e-mail address and a password: in both languages, without a script, and out again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sideways, violations, visit } from './browser.mjs';
import { browser, byTurns } from './harness.mjs';
import { STORES, place, remove, serve, soonshop } from './shop.mjs';

const ADDRESS = 'ada@example.org';

// A shop of its own with one account, opened before it serves: SQLite takes one program at a time.
async function withAccount(store) {
  const shop = await place(store);
  try {
    const migrated = await soonshop(shop, 'migrate');
    assert.equal(migrated.code, 0, migrated.stderr);
    const opened = await soonshop(shop, 'account', 'open', '--role', 'auditor', '--email', ADDRESS);
    shop.password = opened.stdout.match(/password: (\S+)/)?.[1];
    assert.ok(shop.password, `no account was opened: ${opened.stderr}`);
    shop.origin = (await serve(shop)).origin;
    return shop;
  } catch (error) {
    await remove(shop);
    throw error;
  }
}

const WORDS = {
  en: { wrong: 'The e-mail address or the password is wrong.', out: 'Sign out', missing: /e-mail|password/i },
  'zh-CN': { wrong: /邮箱或密码/, out: '退出' },
};

async function signsInAndOut(shop, lang, javaScriptEnabled) {
  const window = await visit(browser, shop, { role: null, locale: lang, javaScriptEnabled });
  const { page } = window;
  try {
    // A page of the trail leads to the door, and from there back to itself.
    await page.goto(`${shop.origin}/audit/operations?lang=${lang}`);
    assert.equal(new URL(page.url()).pathname, '/audit/sign-in');
    assert.equal(await page.locator('html').getAttribute('lang'), lang);
    if (javaScriptEnabled) assert.deepEqual(await violations(page), []);
    const form = page.locator('form:has(input[name=password])');
    const fill = async (email, password) => {
      await form.locator('input[name=email]').fill(email);
      await form.locator('input[name=password]').fill(password);
      await form.locator('button').click();
    };

    // A wrong password: why, in the language of the page; the address is still there, the password is not.
    await fill(ADDRESS, 'nothing-of-the-kind-7');
    const alert = page.locator('[role=alert]');
    await alert.waitFor();
    assert.match(await alert.innerText(), WORDS[lang].wrong instanceof RegExp ? WORDS[lang].wrong : new RegExp(WORDS[lang].wrong));
    assert.equal(await form.locator('input[name=email]').inputValue(), ADDRESS);
    assert.equal(await form.locator('input[name=password]').inputValue(), '');
    assert.equal(await form.locator('input[name=email]').getAttribute('aria-invalid'), 'true');
    assert.doesNotMatch(await page.content(), /nothing-of-the-kind/);
    assert.doesNotMatch(page.url(), /ada|password/);
    if (javaScriptEnabled) assert.deepEqual(await violations(page), []);
    await page.setViewportSize({ width: 320, height: 700 });
    if (javaScriptEnabled) assert.equal(await sideways(page), null);
    await page.setViewportSize({ width: 1280, height: 900 });
    // The browser names the answer 401 in its console.
    window.watched.length = 0;

    await fill(ADDRESS, shop.password);
    await page.waitForURL('**/audit/operations**');
    assert.equal(await page.locator('html').getAttribute('lang'), lang);
    assert.equal((await page.goto(`${shop.origin}/audit/timeline?lang=${lang}`)).status(), 200);
    const cookies = await window.context.cookies();
    const session = cookies.find(({ name }) => name === 'soonshop_session');
    assert.ok(session?.httpOnly && session.sameSite === 'Strict', JSON.stringify(cookies.map(({ name }) => name)));

    await page.getByRole('button', { name: WORDS[lang].out }).click();
    await page.waitForURL('**/audit/sign-in**');
    await page.goto(`${shop.origin}/audit/timeline?lang=${lang}`);
    assert.equal(new URL(page.url()).pathname, '/audit/sign-in', 'the session has ended');
    // Also the cookie of before opens nothing.
    const answer = await fetch(`${shop.origin}/api/audit/timeline`, { headers: { cookie: `soonshop_session=${session.value}` } });
    assert.equal(answer.status, 403);
    assert.deepEqual(window.watched, []);
  } finally {
    await window.context.close();
  }
}

for (const store of byTurns(STORES)) {
  test(`an account signs in with its password in both languages, with and without a script, and out again (${store})`, async () => {
    const shop = await withAccount(store);
    try {
      for (const lang of ['en', 'zh-CN']) {
        for (const javaScriptEnabled of [true, false]) await signsInAndOut(shop, lang, javaScriptEnabled);
      }
    } finally {
      await remove(shop);
    }
  });
}
