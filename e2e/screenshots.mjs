// Screenshots of every page, light and dark, English and Chinese, wide and narrow: all in target/screenshots/, and
// those of the documentation in docs/images/.
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, see, visit } from './browser.mjs';
import { PAGES } from './pages.mjs';
import { open, remove, ROOT } from './shop.mjs';
import { seed } from './seed.mjs';

const SHOWN = {
  'overview-light-en-wide': 'audit-overview', 'timeline-light-en-wide': 'audit-timeline', 'order-light-en-wide': 'audit-order',
  'correlation-dark-en-wide': 'audit-correlation', 'projections-light-en-wide': 'audit-projections',
  'integrity-light-en-wide': 'audit-integrity', 'timeline-dark-zh-CN-narrow': 'audit-timeline-zh',
};
const SIZES = { wide: { width: 1200, height: 760 }, narrow: { width: 390, height: 760 } };
// The long history would fill the whole timeline.
const shown = (made) => ({ ...PAGES(made), timeline: '/audit/timeline?q=-type:ProductPriceChanged' });
const all = join(ROOT, 'target', 'screenshots');
const docs = join(ROOT, 'docs', 'images');

const shop = await seed(await open('embedded'));
const browser = await launch();
try {
  await mkdir(all, { recursive: true });
  await mkdir(docs, { recursive: true });
  // The log is checked once, so that the pages have something to say of it.
  const checked = await visit(browser, shop, { role: 'auditor' });
  await see(checked.page, shop, '/audit/integrity');
  await checked.page.locator('form[action="/audit/integrity"] button').first().click();
  await checked.page.locator('main .well').first().waitFor();
  await checked.context.close();
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      for (const locale of ['en', 'zh-CN']) {
        const { context, page } = await visit(browser, shop, { role: 'auditor', viewport, colorScheme, locale });
        for (const [name, path] of Object.entries(shown(shop.made))) {
          await see(page, shop, path);
          const picture = `${name}-${colorScheme}-${locale}-${size}`;
          await page.screenshot({ path: join(all, `${picture}.png`) });
          if (SHOWN[picture]) await copyFile(join(all, `${picture}.png`), join(docs, `${SHOWN[picture]}.png`));
        }
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
  await remove(shop);
}
