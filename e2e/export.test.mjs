// An export equals the screen: the same rows, the same order, equally masked, and harmless in a spreadsheet.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { see } from './browser.mjs';
import { check, firstFields, mustFail, rows } from './harness.mjs';
import { FORMULA } from './seed.mjs';
import { command, get } from './shop.mjs';

// RFC 4180.
function cells(text) {
  const lines = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    lines.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === '\r\n') lines.push([]);
    if (end === '') break;
  }
  return lines.filter((line) => line.length > 1);
}

function harmless(lines) {
  for (const line of lines) for (const cell of line) assert.doesNotMatch(cell, /^[=+\-@\t\r]/, `a spreadsheet runs ${cell}`);
}

const FILTER = 'agg=product&type=ProductPriceChanged&actor=guest';

check(10, 'a filtered timeline is the same on the page, as CSV and as NDJSON', async ({ page }, shop) => {
  for (const order of ['desc', 'asc']) {
    await see(page, shop, `/audit/timeline?${FILTER}&order=${order}&limit=200&lang=en`);
    const count = Number(await page.locator('.count strong').innerText());
    const shown = await rows(page).evaluateAll((found) => found.map((row) => row.dataset.position));
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('[data-export]').click()]);
    const file = await readFile(await download.path(), 'utf8');
    assert.equal(file[0], '\ufeff', 'a spreadsheet needs the byte order mark to read Chinese');
    const [names, ...lines] = cells(file.slice(1));
    assert.equal(names[0], 'position');
    const own = lines.pop();
    assert.equal(own[0], '#manifest');
    const taken = lines.map((line) => line[0]);
    const answer = await get(shop, `/api/audit/export.ndjson?${FILTER}&order=${order}`, { as: 'support' });
    const [first, ...rest] = answer.text.trimEnd().split('\n');
    const { manifest } = JSON.parse(first);
    const agree = () => {
      assert.deepEqual([taken.length, rest.length, manifest.count, JSON.parse(own[1]).count], [count, count, count, count]);
      assert.deepEqual(taken.slice(0, 200), shown);
      assert.deepEqual(rest.map((line) => String(JSON.parse(line).position)), taken);
    };
    agree();
    assert.deepEqual(manifest.filter, { actor: 'guest', agg: 'product', type: 'ProductPriceChanged' });
    assert.equal(manifest.order, order);
    assert.ok(manifest.head >= Math.max(...taken.map(Number)));
    const after = answer.text.slice(answer.text.indexOf('\n') + 1);
    assert.equal(createHash('sha256').update(after).digest('hex'), manifest.sha256);
    taken.reverse();
    await mustFail('another order', agree);
  }
});

check(10, 'changes are the same on the screen, in the answer and in both files', async ({ page }, shop) => {
  for (const search of ['agg=order&limit=200', `q=subject:${shop.made.users.ana}&limit=200&order=asc`]) {
    await see(page, shop, `/audit/timeline?${search}&lang=en`);
    const query = search.replace('&limit=200', '');
    const answer = await get(shop, `/api/audit/timeline?${search}`, { as: 'support' });
    const file = await get(shop, `/api/audit/export.ndjson?${query}`, { as: 'support' });
    const csv = await get(shop, `/api/audit/export.csv?${query}`, { as: 'support' });
    const taken = file.text.trimEnd().split('\n').slice(1).map((line) => JSON.parse(line));
    assert.deepEqual(taken, answer.json.items);
    const [names, ...lines] = cells(csv.text);
    assert.equal(lines.pop()[0], '#manifest');
    const column = names.indexOf('changes');
    assert.deepEqual(lines.map((line) => JSON.parse(line[column] || 'null')), taken.map((row) => row.changes));
    const shown = () => rows(page).evaluateAll((found) => found.map((row) => [...row.querySelectorAll('[data-path]')].map((field) => field.dataset.path)));
    const agree = async () => assert.deepEqual(await shown(), taken.map((row) => firstFields(row.changes)));
    await agree();
    assert.ok(taken.some((row) => row.changes?.length > 0), 'nothing changed at all');
    await page.locator('[data-path]').first().evaluate((field) => field.remove());
    await mustFail('a change that is only in the files', agree);
    harmless(lines);
  }
});

check(10, 'files mask the same values, and no cell is a formula', async (_, shop) => {
  const csv = await get(shop, `/api/audit/export.csv?q=subject:${shop.made.users.ana}`, { as: 'support' });
  const page = await get(shop, `/api/audit/timeline?q=subject:${shop.made.users.ana}`, { as: 'support' });
  const [names, ...lines] = cells(csv.text);
  assert.equal(lines.pop()[0], '#manifest');
  const summary = names.indexOf('summary');
  assert.deepEqual(lines.map((line) => JSON.parse(line[summary])), page.json.items.map((item) => item.summary));
  assert.match(csv.text, /personal/);
  const formula = await get(shop, '/api/audit/export.csv?q=HYPERLINK', { as: 'support' });
  const found = cells(formula.text);
  assert.equal(JSON.parse(found[1][summary]).name, FORMULA);
  harmless(found);
  await mustFail('a formula', () => harmless([...found, [FORMULA]]));
});

// How a spreadsheet program reads a CSV: each cell's text, and whether it is a formula. Gnumeric reports a type for
// literal values, and none for computed ones.
async function opened(csv) {
  const folder = await mkdtemp(join(tmpdir(), 'soonshop-e2e-'));
  try {
    await writeFile(join(folder, 'in.csv'), csv);
    const done = await command('ssconvert', ['-T', 'Gnumeric_XmlIO:sax:0', join(folder, 'in.csv'), join(folder, 'out.xml')]);
    assert.equal(done.code, 0, done.stderr);
    const text = (escaped) => escaped.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
    const sheet = await readFile(join(folder, 'out.xml'), 'utf8');
    return [...sheet.matchAll(/<gnm:Cell ([^>]*)>([^<]*)</g)].map(([, is, said]) => ({ formula: !is.includes('ValueType='), text: text(said) }));
  } finally {
    await rm(folder, { recursive: true });
  }
}

check(10, 'a spreadsheet program opens a product named like a formula as text', async (_, shop) => {
  const { text } = await get(shop, '/api/audit/export.csv?q=HYPERLINK', { as: 'support' });
  const asText = async (csv) => {
    const all = await opened(csv);
    assert.ok(all.some((cell) => cell.text.includes('HYPERLINK("http://x")') || cell.text.includes('HYPERLINK(\\"http://x\\")')), 'it is there');
    assert.deepEqual(all.filter((cell) => cell.formula), []);
  };
  await asText(text);
  await asText(`name\r\n"'${FORMULA.replaceAll('"', '""')}"\r\n`);
  await mustFail('a formula', () => asText(`name\r\n"${FORMULA.replaceAll('"', '""')}"\r\n`));
});
