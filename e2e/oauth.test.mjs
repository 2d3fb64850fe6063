// A client of OAuth on another site, in the browser: its link leads to signing in, to the consent page and back, without a
// script, in both languages; the next time it leads back at once; and its owner withdraws it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { sideways, violations, visit } from './browser.mjs';
import { browser } from './harness.mjs';
import { freePort, place, remove, serve, soonshop } from './shop.mjs';

const PICTURES = process.env.E2E_PICTURES;
const WORDS = { en: /asks to do this for you/, 'zh-CN': /请求代您进行以下操作/ };

// The pages of the client: one with a link to the shop, and the one that it leads back to.
function client(address) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(request.url.startsWith('/cb') ? '<title>back</title>back' : `<title>app</title><a href="${address().replaceAll('&', '&amp;')}">sign in</a>`);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function flow(shop, { app, port, asks, lang, javaScriptEnabled, account }) {
  const window = await visit(browser, shop, { role: null, locale: lang, javaScriptEnabled });
  const { page } = window;
  const said = [];
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  const fine = async (what) => {
    assert.equal(await page.locator('html').getAttribute('lang'), lang, what);
    if (!javaScriptEnabled) return;
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await violations(page), [], `${what}, ${colorScheme}`);
    }
    for (const width of [320, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await sideways(page), null, `${what} at ${width} px`);
      if (PICTURES) {
        mkdirSync(PICTURES, { recursive: true });
        await page.screenshot({ path: join(PICTURES, `${what.replaceAll(' ', '-')}-${lang}-${width}.png`), fullPage: true });
      }
    }
  };
  // `localhost` is another site than 127.0.0.1.
  const begin = async () => {
    asks.verifier = randomBytes(32).toString('base64url');
    await page.goto(`http://localhost:${port}/`);
    await page.locator('a').click();
  };
  const back = async () => {
    await page.waitForURL('**/cb?**');
    return new URL(page.url()).searchParams;
  };
  const redeem = async (code) => {
    const body = new URLSearchParams({
      grant_type: 'authorization_code', code, redirect_uri: asks.redirect, code_verifier: asks.verifier,
      client_id: app.id, client_secret: app.secret,
    });
    const answer = await fetch(`${shop.origin}/oauth/token`, { method: 'POST', body });
    assert.equal(answer.status, 200);
    return (await answer.json()).access_token;
  };
  const signIn = async () => {
    await page.waitForURL('**/account/sign-in?**');
    await page.locator('main input[name=email]').fill(account.email);
    await page.locator('main input[name=password]').fill(account.password);
    await page.locator('main form.column button').click();
  };
  const status = async (token) => (await fetch(`${shop.origin}/orders`, { headers: { authorization: `Bearer ${token}` } })).status;
  try {
    await begin();
    await signIn();
    await page.waitForURL('**/oauth/authorize?**');
    assert.match(await page.locator('main').innerText(), WORDS[lang]);
    await fine('consent');
    await page.locator('button[value=deny]').click();
    assert.equal((await back()).get('error'), 'access_denied');
    await begin();
    await page.waitForURL('**/oauth/authorize?**');
    await page.locator('button[value=allow]').click();
    let answer = await back();
    assert.equal(answer.get('iss'), shop.origin);
    assert.equal(answer.get('state'), 'x&y');
    const token = await redeem(answer.get('code'));
    assert.equal(await status(token), 200);
    // Remembered: also from another site, where the first request comes without the cookie.
    await begin();
    answer = await back();
    assert.equal(await status(await redeem(answer.get('code'))), 200);
    // And after signing in again, although the form to sign in with may lead to the shop alone.
    await page.goto(`${shop.origin}/account`);
    await page.locator('header form.out button').click();
    await page.waitForURL('**/account/sign-in?**');
    await begin();
    await signIn();
    assert.ok((await back()).get('code'));
    await page.goto(`${shop.origin}/oauth/authorize?client_id=${app.id}&redirect_uri=https%3A%2F%2Fevil.example%2F`);
    assert.equal(new URL(page.url()).origin, shop.origin);
    await fine('bad request');
    await page.goto(`${shop.origin}/account/sessions`);
    assert.match(await page.locator('main').innerText(), /storefront/);
    await page.goto(`${shop.origin}/account`);
    await fine('account with clients');
    await page.goto(`${shop.origin}/account/clients`);
    await fine('clients');
    await page.locator('main td form button').click();
    await page.locator('main tbody').waitFor({ state: 'detached' });
    await fine('no clients');
    assert.equal(await status(token), 401);
    // The page of the bad request is one, and nothing was kept from leading on.
    assert.deepEqual(said.filter((text) => !text.includes('400')), []);
  } finally {
    await window.context.close();
  }
}

test('somebody lets a client act for them, which leads back at once the next time, and takes that back', async () => {
  const shop = await place('embedded');
  const asks = {};
  const server = await client(() => `${shop.origin}/oauth/authorize?${new URLSearchParams({
    response_type: 'code', client_id: asks.client, redirect_uri: asks.redirect, scope: 'own', state: 'x&y',
    code_challenge: createHash('sha256').update(asks.verifier).digest('base64url'), code_challenge_method: 'S256',
  })}`);
  try {
    const { port } = server.address();
    asks.redirect = `http://127.0.0.1:${port}/cb`;
    const at = await freePort();
    shop.env.SOONSHOP_PUBLIC_URL = `http://127.0.0.1:${at}`;
    const done = async (...args) => {
      const { code, stdout, stderr } = await soonshop(shop, ...args);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await done('migrate');
    const email = 'ada@example.org';
    const opened = await done('account', 'open', '--role', 'customer', '--email', email, '--person', 'Ada');
    const account = { email, password: opened.match(/password: (\S+)/)[1] };
    const made = await done('client', 'create', 'storefront', '--redirect', asks.redirect, '--scope', 'own,figures');
    const app = { id: made.match(/client (\S+)/)[1], secret: made.match(/secret: (\S+)/)[1] };
    asks.client = app.id;
    shop.origin = (await serve(shop, ['dev'], at)).origin;
    for (const lang of ['en', 'zh-CN']) {
      for (const javaScriptEnabled of [true, false]) await flow(shop, { app, port, asks, lang, javaScriptEnabled, account });
    }
  } finally {
    server.close();
    await remove(shop);
  }
});
