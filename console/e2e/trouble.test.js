// The platform is away or busy, things vanish, files change: no page lies about it, and none is lost by it.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { until } from './harness.js';
import { press } from './pages.js';
import { browser, platform, product } from './stage.js';

test('a page that cannot be loaded says so within the frame, and comes when the platform is back', async () => {
  const page = await browser.page(platform.token);
  await page.goto('/settings');
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  await platform.end();
  await page.getByText('The platform does not answer.').waitFor({ timeout: 10_000 });
  await page.getByRole('menuitem', { name: 'Health' }).click();
  await page.getByText('This page could not be loaded.').waitFor();
  await page.getByRole('button', { name: 'Load anew' }).click();
  await page.getByRole('menuitem', { name: 'Settings' }).click();
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  await page.getByRole('menuitem', { name: 'Health' }).click();
  await platform.serve();
  await page.getByRole('heading', { name: 'Health' }).waitFor();
  await page.close();
});

test('a page whose part is missing for good is not loaded without end', async () => {
  const page = await browser.page(platform.token);
  await page.route('**/assets/health-*.js', (route) => route.fulfill({ status: 404 }));
  let loads = 0;
  page.on('load', () => loads++);
  await page.goto('/settings');
  await page.getByRole('menuitem', { name: 'Health' }).click();
  await until('the one try', () => loads === 2);
  await page.getByText('This page could not be loaded.').waitFor();
  await page.getByRole('button', { name: 'Load anew' }).click();
  await until('the try that was asked for', () => loads > 2);
  await page.getByText('This page could not be loaded.').waitFor();
  assert.equal(loads, 3);
  await page.close();
});

test('what another operator removed is said to be gone, and below an error stands no “nothing”', async () => {
  const productKey = await product('Vanishing', ['lamp-0001', 'lamp-0002']);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/devices/lamp-0001`);
  await page.getByRole('button', { name: 'Disable' }).waitFor();
  await platform.api('DELETE', `/products/${productKey}/devices/lamp-0001`);
  await page.getByRole('alert').getByText('This is no longer there.').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Disable' }).count(), 0);

  await page.goto(`/products/${productKey}/devices?filter=${encodeURIComponent('region ~ eu')}`);
  await page.getByRole('alert').getByText('at character').waitFor();
  assert.equal(await page.getByText('No device fits').count(), 0);
  await page.close();
});

test('a file that changes while it is uploaded is told of', async () => {
  const productKey = await product('Changing files', []);
  const file = join(platform.folder, 'changing.bin');
  writeFileSync(file, Buffer.alloc(9 * 1024 * 1024));
  const page = await browser.page(platform.token);
  await page.route('**/api/v1/uploads/*', async (route) => {
    if (route.request().method() === 'PATCH') writeFileSync(file, 'another content');
    await route.continue();
  });
  await page.goto(`/products/${productKey}/packages`);
  await page.getByRole('button', { name: 'Upload package' }).first().click();
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByLabel('Version', { exact: true }).fill('2.0.0');
  await press(page, 'Upload');
  await page.getByRole('alert').getByText('The file changing.bin has changed').waitFor();
  await page.close();
});

test('a list of 400 000 names does not break the page', async () => {
  const productKey = await product('Long list', ['lamp-0001']);
  const { id } = await platform.package(productKey, '2.0.0');
  const file = join(platform.folder, 'long.csv');
  writeFileSync(file, Array.from({ length: 400_000 }, (_, at) => `lamp-${String(at).padStart(8, '0')}`).join('\n'));
  const page = await browser.page(platform.token);
  let asked = 0;
  await page.route('**/api/v1/jobs/dry-run', (route) => {
    asked++;
    return route.fulfill({ status: 422, json: { code: 'deviceListInvalid', detail: 'none of them', status: 422, title: 'no' } });
  });
  await page.goto(`/packages/${id}/new-job`);
  await page.getByRole('alert').getByText('none of them').waitFor();
  await page.getByText('List (CSV)', { exact: true }).click();
  asked = 0;
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByText('A list of 400,000 lines.').waitFor();
  await until('the dry run', () => asked > 0);
  await page.getByRole('alert').getByText('none of them').waitFor();
  assert.equal(asked, 1, 'how often the list was sent');
  await page.reload();
  await page.getByRole('textbox', { name: 'Devices' }).waitFor();
  assert.equal(await page.getByRole('textbox', { name: 'Devices' }).inputValue(), '');
  await page.close();
});
