// Forms that are refused come back with what was typed, the field at fault marked, in both languages, without a script.
import assert from 'node:assert/strict';
import { see, sideways, violations } from './browser.mjs';
import { each, mustFail } from './harness.mjs';
import { call } from './shop.mjs';

const WHY = { en: /Each tag has 1 to 32/, 'zh-CN': /每个标签为 1 至 32/ };

for (const colorScheme of ['light', 'dark']) {
  for (const lang of ['en', 'zh-CN']) {
    each(`a refused note comes back and is accepted when it is corrected, ${lang}, ${colorScheme}`, async ({ page, watched }, shop) => {
      const user = (await call(shop, 'POST', '/users', { as: 'support', body: { country: 'Chile' } })).json.id;
      await see(page, shop, `/audit/a/user/${user}?lang=${lang}`);
      await page.locator('details.leave summary').click();
      await page.locator('details.leave textarea').fill('she rang,\nand will again');
      await page.locator('details.leave input[name=tags]').fill('Call-Back');
      await page.locator('details.leave input[name=shared]').check();
      await page.locator('details.leave button').click();
      const form = page.locator('form.again');
      await form.waitFor();
      const wrong = form.locator('[aria-invalid=true]');
      const marked = async () => {
        assert.equal(await wrong.getAttribute('name'), 'tags');
        assert.match(await page.locator('#fault').innerText(), WHY[lang]);
      };
      await marked();
      assert.equal(await wrong.getAttribute('aria-describedby'), 'fault');
      assert.equal(await form.locator('textarea').inputValue(), 'she rang,\nand will again');
      assert.equal(await wrong.inputValue(), 'Call-Back');
      assert.ok(await form.locator('input[name=shared]').isChecked());
      assert.deepEqual(await violations(page), []);
      for (const width of [320, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        assert.equal(await sideways(page), null, `${width} px`);
      }
      // The browser names the answer 400 in its console.
      watched.length = 0;
      await page.evaluate(() => document.querySelector('#fault').remove());
      await mustFail('a field without its reason', async () => assert.equal(await page.locator('#fault').count(), 1));
      await wrong.fill('call-back');
      await form.locator('button').click();
      await page.waitForURL(`**/audit/a/user/${user}**`);
      assert.match(await page.locator('main .note').innerText(), /she rang,\s+and will again/);
    }, { colorScheme, locale: lang });
  }
}

each('a reason that is too short comes back without a script', async ({ page, watched }, shop) => {
  const user = (await call(shop, 'POST', '/users', { as: 'support', body: { country: 'Chile' } })).json.id;
  await page.goto(`${shop.origin}/audit/a/user/${user}?lang=zh-CN`);
  await page.locator('details.reveal:not(.leave) summary').click();
  // Longer than the form asks for, and yet no reason.
  await page.locator('details.reveal:not(.leave) input[name=reason]').fill(' a  ');
  await page.locator('details.reveal:not(.leave) button').click();
  const wrong = page.locator('form.again [aria-invalid=true]');
  await wrong.waitFor();
  assert.equal(await wrong.inputValue(), ' a  ');
  // The browser names the answer 400 in its console.
  watched.length = 0;
  await wrong.fill('工单 4711');
  await page.locator('form.again button').click();
  await page.waitForURL(`**/audit/a/user/${user}**`);
  assert.match(await page.locator('main').innerText(), /个人信息/);
}, { role: 'auditor', javaScriptEnabled: false });
