// What goes wrong in an operator's day, and what the pages make of it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Browser, Platform, until } from './harness.js';

let platform;
let browser;

before(async () => {
  platform = await Platform.start();
  browser = await Browser.start(platform.url);
});

after(async () => {
  await browser?.stop();
  await platform?.stop();
});

async function product(name, devices) {
  const { productKey } = await platform.api('POST', '/products', { name });
  for (const deviceName of devices) await platform.api('POST', `/products/${productKey}/devices`, { deviceName });
  return productKey;
}

test('a job halts itself, goes on, and is cancelled', async () => {
  const names = ['lamp-a', 'lamp-b'];
  const productKey = await product('Halting', names);
  const devices = await Promise.all(names.map((name) => platform.device(productKey, name)));
  for (const device of devices) await device.version('1.0.0');
  const { id } = await platform.package(productKey, '2.0.0');

  const page = await browser.page(platform.token);
  await page.goto(`/packages/${id}/new-job`);
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByLabel('Halt above failures, devices').fill('0');
  await page.getByText('Rate, retries, timeouts and more').click();
  await page.getByLabel('Attempts', { exact: true }).fill('1');
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Halts by itself when more than 0 devices have failed.').waitFor();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: 'Upgrade of default to 2.0.0' }).waitFor();

  await devices[0].notice();
  await devices[0].progress(-2, 'flash is full');
  await page.getByText('The job halted by itself').waitFor();
  await page.getByText('Devices failed: 1; allowed: 0', { exact: true }).waitFor();
  await page.getByText('The device reported -2: flash is full').waitFor();
  await page.getByRole('row', { name: /The device reported a failure/ }).getByText('lamp-a').waitFor();

  await page.getByRole('button', { name: 'Expand row' }).first().click();
  await page.getByText('A task was made').waitFor();

  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Most pushes a minute').fill('60');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal((await platform.api('GET', `/jobs/${page.url().split('/').at(-1)}`)).ratePerMinute, 60);

  await order(page, 'Resume');
  await page.getByText('The job halted by itself').waitFor({ state: 'hidden' });
  await order(page, 'Cancel job');
  await page.getByText('Cancelled', { exact: true }).first().waitFor();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export CSV' }).click();
  assert.match((await download).suggestedFilename(), /^job_.*\.csv$/);
  for (const device of devices) await device.end();
  await page.close();
});

async function order(page, name) {
  await page.getByRole('button', { name, exact: true }).click();
  await page.getByRole('button', { name: 'OK' }).click();
}

test('an import tells what is wrong with each line, in both languages', async () => {
  const productKey = await product('Importing', ['lamp-0001']);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/devices`);
  await page.getByRole('button', { name: 'Import devices' }).click();
  const lines = page.getByLabel('Lines of the CSV file');
  await lines.fill('deviceName,deviceSecret\nlamp-0001,\n<script>alert(1)</script>,\nlamp-0002,\n路灯,\nlamp-0003,\n');
  await page.getByRole('dialog').getByRole('button', { name: 'Import devices' }).click();
  await page.getByText('2 made, 3 refused').waitFor();
  await page.getByRole('row', { name: /<script>/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'lamp-0002' }).waitFor();

  await page.goto('/settings');
  await page.getByText('中文').click();
  await page.getByRole('heading', { name: '设置' }).waitFor();
  await page.goto(`/products/${productKey}/packages`);
  await page.getByText('尚无升级包').waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  await page.close();
});

test('what is said of a product and of a device is changed', async () => {
  const productKey = await product('Changing', ['lamp-0001']);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}`);
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Time zone').fill('Nowhere/At all');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').getByText('Nowhere/At all').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Time zone').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.getByLabel('Time zone').fill('Asia/Shanghai');
  await page.getByRole('dialog').getByLabel('Name').fill('Changed');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'Changed' }).waitFor();

  await page.getByRole('link', { name: 'lamp-0001' }).click();
  await page.getByRole('combobox', { name: 'Tags' }).fill('region=eu');
  await page.keyboard.press('Enter');
  const device = () => platform.api('GET', `/products/${productKey}/devices/lamp-0001`);
  await until('the tag', async () => (await device()).tags.region === 'eu');
  await order(page, 'Disable');
  await page.getByText('Disabled', { exact: true }).waitFor();
  assert.equal((await device()).enabled, false);
  await page.close();
});

test('names of any kind are shown as they are', async () => {
  const name = `<script>alert(1)</script> 🚦 ${'路'.repeat(30)}`;
  const productKey = await product(name, ['lamp-0001']);
  const page = await browser.page(platform.token, { locale: 'zh-CN', viewport: { width: 390, height: 844 } });
  await page.goto(`/products/${productKey}`);
  await page.getByRole('heading', { name }).waitFor();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} pixels wider than the telephone`);
  await page.close();
});

test('an upload that is cut goes on where it was', async () => {
  const productKey = await product('Uploading', []);
  const file = join(platform.folder, 'large.bin');
  const content = Buffer.alloc(20 * 1024 * 1024, 'firmware');
  writeFileSync(file, content);
  const page = await browser.page(platform.token);
  const offsets = [];
  await page.route('**/api/v1/uploads/*', async (route) => {
    const request = route.request();
    if (request.method() !== 'PATCH') return route.continue();
    offsets.push(Number(await request.headerValue('upload-offset')));
    return offsets.length === 5 ? route.abort() : route.continue();
  });
  await page.goto(`/products/${productKey}/packages`);
  await page.getByRole('button', { name: 'Upload package' }).click();
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByLabel('Version', { exact: true }).fill('2.0.0');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.getByText(createHash('md5').update(content).digest('hex')).waitFor();
  const piece = 4 * 1024 * 1024;
  assert.deepEqual(offsets, [0, piece, 2 * piece, 3 * piece, 4 * piece, 4 * piece]);
  await page.close();
});

test('what two operators change at once is shown, and lost by neither', async () => {
  const productKey = await product('Configuring', []);
  const save = (value) => platform.api('POST', `/products/${productKey}/configuration/versions`, { value });
  await save(1);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/configuration`);
  const text = page.getByRole('textbox', { name: 'Remote configuration' });
  await page.getByText('Version 1').waitFor();
  await text.fill('{"value": 3}');
  await save(2);
  await page.getByText('Version 2 was made by somebody else').waitFor();
  assert.equal(await text.inputValue(), '{"value": 3}');
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await page.getByText('Version 3', { exact: true }).waitFor();
  await page.close();
});

test('the platform goes, comes back with another token, and nothing typed is lost', async () => {
  const productKey = await product('Restarting', ['lamp-0001']);
  const { id } = await platform.package(productKey, '2.0.0');
  const page = await browser.page(platform.token);
  await page.goto(`/packages/${id}/new-job`);
  await page.getByText('Devices upgraded').waitFor();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByLabel('Waves').fill('1, 100%');

  await platform.end();
  await page.getByRole('alert').getByText('The platform does not answer.').waitFor();
  writeFileSync(join(platform.data, 'admin-token'), 'another token\n');
  await platform.serve();
  await page.getByRole('dialog').getByText('Sign in again').waitFor();
  await page.getByLabel('Admin token').fill('another token');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('The platform does not answer.').waitFor({ state: 'hidden' });
  assert.equal(await page.getByLabel('Waves').inputValue(), '1, 100%');
  await page.reload();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  assert.equal(await page.getByLabel('Waves').inputValue(), '1, 100%');
  await page.close();
});

test('the tabs of a browser share one connection for events', async () => {
  const productKey = await product('Sharing', ['lamp-0001']);
  const context = await browser.signedIn(platform.token);
  const pages = [];
  for (let tab = 0; tab < 8; tab++) {
    const page = await context.newPage();
    await page.goto(`/products/${productKey}/devices`);
    await page.getByRole('link', { name: 'lamp-0001' }).waitFor();
    pages.push(page);
  }
  await platform.api('PATCH', `/products/${productKey}/devices/lamp-0001`, { enabled: false });
  for (const page of pages) {
    // Only what is looked at is asked for again.
    await page.bringToFront();
    await page.getByText('Disabled').waitFor({ timeout: 10_000 });
  }
  await context.close();
});
