// Every page can be read and used without eyes and without a mouse, in every look.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { furnish, open } from './pages.js';
import { browser, endFirst, platform } from './stage.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Something on every page, put there by the first test that looks. */
let furnishing;
const furnished = () => (furnishing ??= furnish(platform));
endFirst(async () => (await furnishing)?.end());

for (const look of [{}, { colorScheme: 'dark', locale: 'zh-CN' }, { viewport: { width: 390, height: 844 } }]) {
  test(`no serious finding of axe in ${JSON.stringify(look)}`, async () => {
    const page = await browser.page(platform.token, look);
    const found = [];
    for (const [name, path] of Object.entries((await furnished()).paths)) {
      await open(page, path);
      // Not as a script of the page, which its policy forbids.
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
      for (const { id, impact, nodes } of violations) {
        if (impact === 'serious' || impact === 'critical') found.push(`${name}: ${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
      }
    }
    assert.deepEqual(found, []);
  });
}

test('a telephone shows every page in its width', async () => {
  const page = await browser.page(platform.token, { viewport: { width: 390, height: 844 } });
  for (const [name, path] of Object.entries((await furnished()).paths)) {
    await open(page, path);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name} is ${overflow} pixels too wide`);
  }
});

test('a product is made with the keyboard alone', async () => {
  const page = await browser.page(platform.token);
  await open(page, '/products');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.getByLabel('Name').and(page.locator(':focus')).waitFor();
  await page.keyboard.type('By keyboard');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'By keyboard' }).waitFor();
});
