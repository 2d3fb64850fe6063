// The description of the API can be browsed under its policy: nothing is loaded from elsewhere, and no script is in the
// page itself.
import assert from 'node:assert/strict';
import { see } from './browser.mjs';
import { each } from './harness.mjs';

each('the description of the API can be browsed under its policy', async ({ page }, shop) => {
  await see(page, shop, '/docs/');
  const operations = page.locator('.opblock');
  await operations.first().waitFor();
  assert.ok(await operations.count() > 20, `${await operations.count()} operations`);
  await operations.first().locator('.opblock-summary-control').click();
  await operations.first().locator('.opblock-body').waitFor();
});
