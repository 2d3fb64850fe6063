// Starts Chromium, and watches every page: no request to another host, no error, no violation of its policy.
import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--font-render-hinting=none'];
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

function executable() {
  const named = process.env.CHROMIUM ?? 'chromium';
  const places = named.includes('/') ? [named] : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, named));
  for (const place of places) {
    try {
      accessSync(place, constants.X_OK);
      return place;
    } catch {
      // Not installed here: try the next one.
    }
  }
  throw new Error(`${named} is not there: \`make test-browser\` installs it as root, or apt-get install chromium`);
}

export const launch = () => chromium.launch({ executablePath: executable(), args: FLAGS });

// Signs in if the shop requires it.
export async function signIn(page, shop, role) {
  if ((await fetch(`${shop.origin}/audit/sign-in`)).status === 404) return;
  await page.goto(`${shop.origin}/audit/sign-in`);
  await page.locator('input[name=key]').fill(shop.keys[role]);
  await page.locator('form:has(input[name=key]) button').click();
  await page.waitForURL((url) => !url.pathname.endsWith('/sign-in'));
}

// A private browser window, signed in as a role. `watched` collects everything that a page must not do.
export async function visit(browser, shop, { role = 'support', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(8_000);
  const page = await context.newPage();
  const watched = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.origin !== shop.origin && url.protocol !== 'data:') watched.push(`a request to ${url.origin}`);
  });
  page.on('pageerror', (error) => watched.push(`a script failed: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') watched.push(`the console says: ${message.text()} ${message.location().url}`);
  });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
    console.error(`a breach of the policy: ${event.violatedDirective} ${event.blockedURI}`);
  }));
  if (role) await signIn(page, shop, role);
  return { context, page, watched };
}

// Opens a page of the shop, which must exist.
export async function see(page, shop, path) {
  const answer = await page.goto(`${shop.origin}${path}`);
  assert.ok(answer.ok(), `${path}: ${answer.status()}`);
  return answer;
}

export async function violations(page) {
  const { violations: found } = await new AxeBuilder({ page }).withTags(WCAG).analyze();
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' | ')}`);
}

// A page wider than its window has to be scrolled in two directions.
export const sideways = (page) => page.evaluate(() => {
  const { scrollWidth, clientWidth } = document.scrollingElement;
  const wide = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > clientWidth + 1
    && one.getBoundingClientRect().width > 0);
  return scrollWidth <= clientWidth ? null
    : `${scrollWidth} px in a window of ${clientWidth}: ${wide.slice(0, 5).map((one) => `<${one.localName} class="${one.className}">`)}`;
});
