// Signing in with providers of identities in the browser, without a script: two certified ones (oidc-provider) at once, on
// another site than the shop, so that cookies are sent as in life. One of them turns its keys over in between.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import Provider from 'oidc-provider';
import { sideways, violations } from './browser.mjs';
import { browser } from './harness.mjs';
import { eventually, freePort, place, remove, serve } from './shop.mjs';

const PICTURES = process.env.E2E_PICTURES;
const BUTTON = { en: 'Sign in with', 'zh-CN': '使用' };

const key = (alg) => {
  const made = alg === 'EdDSA' ? generateKeyPairSync('ed25519') : alg === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...made.privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${Math.random()}` };
};

// A provider on localhost, which takes any name as a login. Its ID tokens lack the address, as is usual: it is asked for.
async function provider(name, alg, port, redirect) {
  const client = {
    client_id: 'the-shop', client_secret: `secret of ${name}`, redirect_uris: [redirect], response_types: ['code'],
    grant_types: ['authorization_code'], id_token_signed_response_alg: alg,
  };
  const one = new Provider(`http://localhost:${port}`, {
    clients: [client],
    cookies: { keys: [name], names: { interaction: `${name}_i`, resume: `${name}_r`, session: `${name}_s` } },
    jwks: { keys: [key(alg)] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    features: { devInteractions: { enabled: true } },
    pkce: { required: () => true, methods: ['S256'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: !id.startsWith('unverified'), name: 'Ada' }),
    }),
  });
  const server = await new Promise((resolve) => { const at = one.listen(port, 'localhost', () => resolve(at)); });
  return { stop: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}

async function signsIn(page, shop, name, login) {
  await page.locator(`main form[action="/account/sign-in/${name}"] button`).click();
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
  // The page that asks for consent; of somebody who gave it, there is none.
  const consent = page.locator('form input[name=prompt][value=consent]');
  await Promise.race([consent.waitFor({ state: 'attached' }), page.waitForURL(`${shop.origin}/**`)]);
  if (await consent.count()) await page.locator('button[type=submit]').click();
}

for (const [lang, javaScriptEnabled] of [['en', false], ['zh-CN', true]]) {
  test(`people sign in with two providers, and link one (${lang}, script: ${javaScriptEnabled})`, async () => {
    const shop = await place('embedded');
    const providers = [];
    let context;
    try {
      const ports = [await freePort(), await freePort(), await freePort()];
      const redirect = (name) => `http://127.0.0.1:${ports[0]}/account/sign-in/${name}/callback`;
      const kinds = [['acme', lang === 'en' ? 'RS256' : 'PS256'], ['work', lang === 'en' ? 'ES256' : 'EdDSA']];
      let file = '';
      for (const [at, [name, alg]] of kinds.entries()) {
        providers.push(await provider(name, alg, ports[at + 1], redirect(name)));
        await writeFile(join(shop.folder, `${name}.secret`), `secret of ${name}\n`);
        file += `[[provider]]\nname = "${name}"\ntitle = "${name.toUpperCase()}"\nissuer = "http://localhost:${ports[at + 1]}"\n`
          + `client_id = "the-shop"\nclient_secret_file = "${name}.secret"\ncustomers = true\n`;
      }
      await writeFile(join(shop.folder, 'providers.toml'), file);
      shop.env.SOONSHOP_PROVIDERS = join(shop.folder, 'providers.toml');
      shop.env.SOONSHOP_PUBLIC_URL = `http://127.0.0.1:${ports[0]}`;
      shop.origin = (await serve(shop, ['dev'], ports[0])).origin;

      context = await browser.newContext({ locale: lang, javaScriptEnabled });
      context.setDefaultTimeout(15_000);
      const page = await context.newPage();
      const fine = async (what) => {
        if (javaScriptEnabled) {
          assert.deepEqual(await violations(page), [], what);
          for (const width of [320, 1280]) {
            await page.setViewportSize({ width, height: 800 });
            assert.equal(await sideways(page), null, `${what} at ${width} px`);
            if (PICTURES) {
              mkdirSync(PICTURES, { recursive: true });
              await page.screenshot({ path: join(PICTURES, `${what.replaceAll(' ', '-')}-${lang}-${width}.png`), fullPage: true });
            }
          }
        }
      };
      await page.goto(`${shop.origin}/account/sessions`);
      assert.match(await page.locator('main').innerText(), new RegExp(`${BUTTON[lang]} ACME`));
      await fine('provider buttons');
      await signsIn(page, shop, 'acme', 'ada');
      // The session's cookie is strict: the page after it is opened by the shop's own page.
      await page.waitForURL(`${shop.origin}/account/sessions`);
      assert.equal(await page.locator('main tbody tr').count(), 1);
      await page.goto(`${shop.origin}/account/providers`);
      assert.match(await page.locator('main').innerText(), /ACME/);
      await fine('providers');
      await page.goto(`${shop.origin}/account/providers/work`);
      await fine('link a provider');
      await page.locator('header form.out button').click();
      await page.waitForURL('**/account/sign-in?**');

      // The other provider has somebody of the same address: nothing is linked.
      await signsIn(page, shop, 'work', 'ada');
      await page.locator('[role=alert]').waitFor();
      await fine('address taken');
      await page.context().clearCookies();
      await page.goto(`${shop.origin}/account/sign-in`);
      await signsIn(page, shop, 'work', 'unverified-eve');
      await page.locator('[role=alert]').waitFor();

      // New keys: the shop finds them by itself.
      await providers[1].stop();
      providers[1] = await provider('work', kinds[1][1], ports[2], redirect('work'));
      await eventually('the new key is known', async () => {
        await page.context().clearCookies();
        await page.goto(`${shop.origin}/account/sign-in`);
        await signsIn(page, shop, 'work', 'grace');
        await page.waitForURL(`${shop.origin}/**`);
        await page.locator('main h1').waitFor();
        await page.waitForURL(`${shop.origin}/account`, { timeout: 2_000 });
        return true;
      }, 40);
      const cookies = await page.context().cookies(shop.origin);
      assert.ok(cookies.some(({ name, sameSite }) => name === 'soonshop_session' && sameSite === 'Strict'));
      assert.ok(!cookies.some(({ name }) => name === 'soonshop_provider'));

      // One that is down says so, and the other goes on.
      await providers[0].stop();
      await page.context().clearCookies();
      await page.goto(`${shop.origin}/account/sign-in`);
      assert.ok(await page.locator('main form[action="/account/sign-in/work"]').count());
    } finally {
      await context?.close();
      await Promise.all(providers.map((one) => one.stop()));
      await remove(shop);
    }
  });
}
