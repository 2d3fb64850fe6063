// Second factors in the browser: added, asked for at sign-in and before a reveal, with accessible pages in both languages.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { see, sideways, violations, visit } from './browser.mjs';
import { browser, each, shops } from './harness.mjs';
import { freePort, place, remove, serve, soonshop, sql } from './shop.mjs';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

// The code of a step, as an app computes it (RFC 6238).
function codeOf(secret, step) {
  const bits = [...secret].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const tag = createHmac('sha1', key).update(counter).digest();
  const at = tag[tag.length - 1] & 15;
  return String((tag.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

const stepNow = () => Math.floor(Date.now() / 30_000);

// Only one process writes into the files of an embedded shop, so the command line opens no account beside it.
const beside = shops.filter((shop) => shop.store === 'postgres');

// In both themes, and as narrow as a telephone.
const checks = (page) => async (what) => {
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await violations(page), [], `${what}, ${colorScheme}`);
  }
  for (const width of [320, 1280]) {
    await page.setViewportSize({ width, height: 900 });
    assert.equal(await sideways(page), null, `${what} at ${width} px`);
  }
};

const openAccount = async (shop, email) => {
  const opened = await soonshop(shop, 'account', 'open', '--role', 'admin', '--email', email, '--person', 'Grace');
  assert.equal(opened.code, 0, opened.stderr);
  const [, id] = opened.stdout.match(/account (\S+) is open/);
  const [, password] = opened.stdout.match(/password: (\S+)/);
  return { email, id, password };
};

const enter = async (page, shop, { email, password }, to) => {
  await see(page, shop, `/audit/sign-in?to=${encodeURIComponent(to)}`);
  await page.locator('input[name=email]').fill(email);
  await page.locator('input[name=password]').fill(password);
  await page.locator('form:has(input[name=email]) button').click();
};

each('a second factor is added, asked for at sign-in, and before a reveal that keeps what was typed', async ({ page, watched }, shop) => {
  const email = `${randomUUID()}@example.org`;
  const account = await openAccount(shop, email);
  const { id, password } = account;
  const fine = checks(page);
  const signIn = (to) => enter(page, shop, account, to);
  const sendCode = async (code) => {
    await page.locator('main input[name=code]').fill(code);
    await page.locator('main form:has(input[name=code]) button').click();
  };

  await signIn('/audit/factors');
  await page.waitForURL('**/audit/factors**');
  await fine('the page of second factors');
  await page.locator('main input[name=password]').fill(password);
  await page.locator('main form:has(input[name=password]) button').click();
  await page.locator('svg.qr').waitFor();
  await fine('the page of the secret');
  const uri = (await page.locator('main code').allTextContents()).find((text) => text.startsWith('otpauth://'));
  const secret = new URL(uri).searchParams.get('secret');
  let last = stepNow();
  await sendCode(codeOf(secret, last));
  await page.locator('ol.codes').waitFor();
  await fine('the page of recovery codes');
  const codes = await page.locator('ol.codes code').allTextContents();
  assert.equal(codes.length, 10);

  await page.locator('form.out button').click();
  await page.waitForURL('**/audit/sign-in**');
  await signIn(`/audit/a/user/${id}?lang=en`);
  await page.locator('main input[name=code]').waitFor();
  await fine('the second step');
  watched.length = 0;
  await sendCode(codes[0]);
  await page.waitForURL(`**/audit/a/user/${id}**`);

  await sql(shop, 'identity', 'UPDATE sessions SET proved_at = 0 WHERE proved_at IS NOT NULL');
  await see(page, shop, `/audit/a/user/${id}?lang=en`);
  await page.locator('#reveal summary').click();
  await page.locator('#why').fill('a complaint & "more"');
  await page.locator('#reveal form button').click();
  await page.locator('main input[name=code]').waitFor();
  await fine('the form that asks for a code');
  await sendCode(codes[0]);
  await page.locator('[role=alert]').waitFor();
  assert.equal(await page.locator('main input[name=reason]').inputValue(), 'a complaint & "more"');
  await sendCode(codes[1]);
  await page.getByText(email).first().waitFor();
  watched.length = 0;

  await sql(shop, 'identity', 'UPDATE sessions SET proved_at = 0 WHERE proved_at IS NOT NULL');
  await page.goto(`${shop.origin}/api/audit/export.csv?q=type%3Auser`);
  await page.waitForURL('**/audit/step-up**');
  await fine('the page that asks for a code');
  last = Math.max(last + 1, stepNow());
  const [download] = await Promise.all([page.waitForEvent('download'), sendCode(codeOf(secret, last))]);
  assert.equal(download.suggestedFilename(), 'timeline.csv');
}, { on: beside, role: null });

// Browsers have passkeys for names alone, and only with TLS or on this machine: so this shop is at localhost. Only one process
// writes into its files, so the account is opened before it is served.
test('a passkey is added, given at sign-in and before a reveal, and removed; without a script the page says so', async () => {
  const shop = await place('embedded');
  try {
    const port = await freePort();
    shop.env.SOONSHOP_PUBLIC_URL = `http://localhost:${port}`;
    const migrated = await soonshop(shop, 'migrate');
    assert.equal(migrated.code, 0, migrated.stderr);
    const account = await openAccount(shop, `${randomUUID()}@example.org`);
    await serve(shop, ['dev'], port);
    shop.origin = shop.env.SOONSHOP_PUBLIC_URL;
    const { context, page, watched } = await visit(browser, shop, { role: null });
    const devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    const fine = checks(page);

    await enter(page, shop, account, '/audit/factors');
    await page.waitForURL('**/audit/factors**');
    await fine('the page of second factors');
    await see(page, shop, '/audit/factors?lang=zh-CN');
    await fine('the same in Chinese');
    await see(page, shop, '/audit/factors?lang=en');
    await page.locator('#passkey-name').fill('Laptop');
    await page.locator('#passkey-password').fill(account.password);
    await page.locator('form:has(#passkey-name) button').click();
    await page.locator('[data-new-passkey] button').waitFor();
    await fine('the page on which a passkey is made');
    await page.locator('[data-new-passkey] button').click();
    await page.locator('ol.codes').waitFor();
    await see(page, shop, '/audit/factors');
    await page.getByText('Laptop').waitFor();
    await fine('the page with a passkey');

    await page.locator('form.out button').click();
    await page.waitForURL('**/audit/sign-in**');
    await enter(page, shop, account, `/audit/a/user/${account.id}`);
    await page.locator('[data-passkey] button').waitFor();
    await fine('the second step');
    await page.locator('[data-passkey] button').click();
    await page.waitForURL(`**/audit/a/user/${account.id}**`);

    await sql(shop, 'identity', 'UPDATE sessions SET proved_at = 0');
    await see(page, shop, `/audit/a/user/${account.id}`);
    await page.locator('#reveal summary').click();
    await page.locator('#why').fill('a complaint');
    // The answer to the form is 403: it asks for a second factor.
    watched.length = 0;
    await page.locator('#reveal form button').click();
    await page.locator('[data-passkey] button').click();
    await page.getByText(account.email).first().waitFor();
    watched.length = 0;

    // Among the pages of accounts.
    await sql(shop, 'identity', 'UPDATE sessions SET proved_at = 0');
    await see(page, shop, '/account/step-up?to=/account/factors');
    await page.locator('[data-passkey] button').waitFor();
    await fine('the page that asks for a second factor');
    await page.locator('[data-passkey] button').click();
    await page.waitForURL('**/account/factors**');
    assert.deepEqual(watched, []);

    const without = await visit(browser, shop, { role: null, javaScriptEnabled: false });
    await enter(without.page, shop, account, '/audit');
    await without.page.locator('main input[name=code]').waitFor();
    await without.page.getByText('has to run the script of this page').waitFor();
    assert.equal(await without.page.locator('[data-passkey] button').isVisible(), false);
    await without.context.close();

    await page.locator('form:has(input[name=factor]) button').click();
    await page.waitForURL('**/account/factors**');
    await page.locator('form:has(input[name=factor])').waitFor({ state: 'detached' });
    assert.deepEqual(watched, []);
    await context.close();
  } finally {
    await remove(shop);
  }
});
