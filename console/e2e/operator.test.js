// What goes wrong in an operator's day, and what the pages make of it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';

import { until } from './harness.js';
import { asked, order, press } from './pages.js';
import { browser, platform, product } from './stage.js';

/** Bytes that the page sends at once. */
const PIECE = 4 * 1024 * 1024;

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
  await page.getByText('When it halted: Devices failed: 1; allowed: 0', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 0, 'a held job is not paused');
  await page.getByRole('cell', { name: 'The device reported -2: flash is full' }).waitFor();
  await page.getByRole('row', { name: /The device reported a failure.*-2 flash is full: 1/ }).getByText('lamp-a').waitFor();

  await page.getByRole('button', { name: 'Expand row' }).first().click();
  await page.getByRole('table', { name: 'Tasks' }).getByText('A task was made').waitFor();

  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Most pushes a minute').fill('60');
  await page.getByLabel('Ends at').fill('2099-01-01T12:00');
  await press(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  const job = await platform.api('GET', `/jobs/${page.url().split('/').at(-1)}`);
  assert.equal(job.ratePerMinute, 60);
  assert.match(job.terms.endAt, /^(2098-12-31|2099-01-0[12])T/);

  await page.getByRole('button', { name: 'Resume', exact: true }).click();
  await asked(page, 'What has failed until now (1) no longer counts');
  await page.keyboard.press('Enter');
  await page.getByText('The job halted by itself').waitFor({ state: 'hidden' });
  // Who goes back has changed nothing, and neither has Enter alone.
  await page.getByRole('button', { name: 'Cancel job', exact: true }).click();
  await asked(page, '1 devices not begun are left out');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal((await platform.api('GET', `/jobs/${job.id}`)).state, 'IN_PROGRESS');
  await order(page, 'Cancel job');
  await page.getByText('Cancelled', { exact: true }).first().waitFor();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export CSV' }).click();
  assert.match((await download).suggestedFilename(), /^job_.*\.csv$/);
  for (const device of devices) await device.end();
  await page.close();
});

test('a job halted by devices that try again tells what they said, and what starts again', async () => {
  const names = ['lamp-a', 'lamp-b'];
  const productKey = await product('Trying again', names);
  const devices = await Promise.all(names.map((name) => platform.device(productKey, name)));
  for (const device of devices) await device.version('1.0.0');
  const { id: packageId } = await platform.package(productKey, '2.0.0');
  const page = await browser.page(platform.token);
  await page.goto(`/packages/${packageId}`);
  await page.getByText('No jobs for this package yet').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Cancel all jobs' }).count(), 0);
  const terms = { maxFailures: 0, retryIntervalMinutes: 10 };
  const { job } = await platform.api('POST', '/jobs', { kind: 'STATIC', packageId, scope: { kind: 'all' }, terms });
  await page.getByRole('button', { name: 'Cancel all jobs' }).waitFor();

  await page.goto(`/jobs/${job.id}`);
  await devices[0].notice();
  await devices[0].progress(-2, 'flash is full');
  const alert = page.getByRole('alert').filter({ hasText: 'The job halted by itself' });
  await alert.getByText('that are to try again: 1').waitFor();
  await alert.getByRole('listitem').filter({ hasText: 'The device said -2: flash is full' }).getByRole('link', { name: 'lamp-a' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Re-upgrade failed' }).count(), 0, 'nothing has failed yet');

  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Attempts', { exact: true }).fill('2');
  await page.mouse.click(5, 400);
  await press(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal((await platform.api('GET', `/jobs/${job.id}`)).terms.attempts, 2, 'a click beside the dialog lost it');
  await page.getByRole('list', { name: 'Events' }).getByText('The job was changed: Attempts').waitFor();

  await order(page, 'Cancel job');
  await page.getByText('0 succeeded, 0 failed, 2 cancelled, of 2').waitFor();
  await page.getByRole('button', { name: 'Re-upgrade failed and cancelled' }).click();
  await asked(page, 'Start failed and cancelled tasks again (2 in all)');
  for (const device of devices) await device.end();
  await page.close();
});

test('a large package travels over HTTP, and a dynamic job for all says from which versions', async () => {
  const productKey = await product('Large', ['lamp-0001']);
  const { id } = await platform.package(productKey, '2.0.0', 16 * 1024 * 1024 + 1);
  const page = await browser.page(platform.token);
  await page.goto(`/packages/${id}/new-job`);
  await page.getByText('Devices upgraded').waitFor();
  assert.equal(await page.getByText('Verify package', { exact: true }).count(), 0);
  await page.getByText('Dynamic upgrade', { exact: true }).click();
  await page.getByText('Name at least one.').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Next', exact: true }).isDisabled());
  await page.getByRole('combobox', { name: 'Versions upgraded from' }).fill('1.0.0');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Rate, retries, timeouts and more').click();
  await page.getByText('at most 16 MiB; this package is larger').waitFor();
  assert.ok(await page.getByLabel('HTTP(S)').isChecked());
  assert.ok(await page.getByLabel('MQTT', { exact: true }).isDisabled());
  await page.close();
});

test('nothing is started by a number that belongs to another order', async () => {
  const productKey = await product('Late', ['lamp-0001']);
  const { id } = await platform.package(productKey, '2.0.0');
  const page = await browser.page(platform.token);
  await page.goto(`/packages/${id}/new-job`);
  await page.getByText('Chosen devices', { exact: true }).click();
  await page.getByRole('combobox', { name: 'Devices' }).fill('lamp-0001');
  await page.getByText('lamp-0001 · ').waitFor();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.getByText('Devices upgraded').waitFor();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Devices: 1.').waitFor();
  const start = page.getByRole('button', { name: 'Start', exact: true });
  await page.waitForFunction(() => [...document.querySelectorAll('button')].some((button) => button.textContent === 'Start' && !button.disabled));
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  await page.route('**/api/v1/jobs/dry-run', async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole('button', { name: 'Back', exact: true }).click();
  await page.getByLabel('Halt above failures, devices').fill('3');
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Devices: ….').waitFor();
  assert.ok(await start.isDisabled());
  answer();
  await page.getByText('Devices: 1.').waitFor();
  assert.ok(await start.isEnabled());
  await page.close();
});

test('the wizard takes found devices and no half names, stops at what is wrong, and tells what nothing stops', async () => {
  const productKey = await product('Wizard', ['lamp-0001', 'lamp-0002']);
  const { id } = await platform.package(productKey, '2.0.0');
  const page = await browser.page(platform.token);
  await page.goto(`/packages/${id}/new-job`);
  await page.getByRole('heading', { name: 'New job: default 2.0.0' }).waitFor();
  await page.getByRole('link', { name: 'Wizard' }).waitFor();
  const next = page.getByRole('button', { name: 'Next', exact: true });
  const devices = page.getByRole('combobox', { name: 'Devices' });
  const chosen = () => page.locator('.ant-select-selection-item').allInnerTexts();
  await page.getByText('Chosen devices', { exact: true }).click();
  await devices.fill('lamp');
  await page.getByText('lamp-0002 · ').waitFor();
  await page.keyboard.press('Enter');
  assert.deepEqual(await chosen(), ['lamp-0001']);
  await devices.fill('lamp-0002，nobody-1');
  await page.getByRole('alert').getByText('not in the product').waitFor();
  assert.deepEqual(await chosen(), ['lamp-0001', 'lamp-0002', 'nobody-1']);
  assert.ok(await next.isDisabled(), 'the dry run is refused');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Start anew' }).click();
  await page.getByText('Chosen devices', { exact: true }).click();
  await devices.fill('lamp-0001,');
  await page.keyboard.press('Escape');
  await next.click();

  await page.getByLabel('Waves').fill('ten');
  assert.ok(await next.isDisabled(), 'the waves are wrong');
  await page.getByLabel('Waves').fill('1, 100%');
  await page.getByLabel('Minutes a wave rests').fill('999999');
  await page.getByLabel('Minutes a wave rests').locator('xpath=ancestor::*[contains(@class,"ant-form-item-has-error")]').first().waitFor();
  assert.ok(await next.isDisabled(), 'the terms are refused');
  await page.getByLabel('Minutes a wave rests').fill('');
  await page.getByLabel('Waves').fill('ten');
  await page.getByText('Check and start', { exact: true }).click();
  await page.getByRole('alert').getByText('A wave is a per cent').waitFor();
  await page.getByText('Strategy', { exact: true }).click();
  await page.getByLabel('Waves').fill('');
  await page.getByLabel('Ends at').fill('2099-01-01T12:00');
  await page.getByLabel('Cancel what has begun at the end').check();
  await page.getByText('Rate, retries, timeouts and more').click();
  await page.getByLabel('Lost after minutes of silence').fill('7');
  await page.getByLabel('Going back is a failure').uncheck();
  await page.getByRole('combobox', { name: 'Tags for the devices' }).fill('ring=beta');
  await page.keyboard.press('Enter');
  await next.click();
  await page.getByText('Nothing stops this job by itself').waitFor();
  await page.getByText('also what has begun').waitFor();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByRole('heading', { name: 'Upgrade of default to 2.0.0' }).waitFor();
  const { terms } = await platform.api('GET', `/jobs/${page.url().split('/').at(-1)}`);
  const { lostAfterMinutes, rollbackFails, endRunning, tags } = terms;
  assert.deepEqual({ lostAfterMinutes, rollbackFails, endRunning, tags }, { lostAfterMinutes: 7, rollbackFails: false, endRunning: true, tags: [{ key: 'ring', value: 'beta' }] });
  await page.close();
});

/** What a file says that the page hands over. */
async function saved(page, act) {
  const download = page.waitForEvent('download');
  await act();
  return readFileSync(await (await download).path(), 'utf8');
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
  const { deviceSecret } = await platform.api('GET', `/products/${productKey}/devices/lamp-0003/credentials`);
  assert.match(await saved(page, () => press(page, 'Save names and secrets (CSV)')), new RegExp(`^\uFEFFdeviceName,deviceSecret\r\nlamp-0002,.{32}\r\nlamp-0003,${deviceSecret}\r\n$`));
  await page.getByRole('row', { name: /<script>/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'lamp-0002' }).waitFor();

  await page.getByRole('button', { name: 'Change tags' }).click();
  // As a spreadsheet in China writes it.
  const buffer = Buffer.concat([Buffer.from('deviceName,city\nlamp-0001,'), Buffer.from('b1b1bea9', 'hex')]);
  await page.locator('input[type=file]').setInputFiles({ name: 'tags.csv', mimeType: 'text/csv', buffer });
  await until('what the file says', async () => (await lines.inputValue()).endsWith('lamp-0001,北京'));
  await lines.fill('deviceName,region,ring\nlamp-0001,eu,canary\nnobody,us,\nlamp-0003,欧洲,\n');
  await page.getByRole('dialog').getByRole('button', { name: 'Change tags' }).click();
  await page.getByText('2 changed, 0 were so, 1 refused').waitFor();
  await page.getByRole('row', { name: /nobody/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('row', { name: /lamp-0001/ }).getByText('ring=canary').waitFor();
  const table = async (name) => {
    await page.getByRole('button', { name: 'Export CSV' }).click();
    await page.getByRole('menuitem', { name }).click();
  };
  assert.match(await saved(page, () => table('Tags, in the form')), /^\uFEFFdeviceName,region,ring\r\nlamp-0001,eu,canary\r\nlamp-0002,,\r\nlamp-0003,欧洲,\r\n$/);
  await table('Names and secrets');
  assert.match(await saved(page, () => press(page, 'Export CSV')), new RegExp(`lamp-0003,${deviceSecret}\r\n$`));

  await page.goto('/settings');
  await page.getByText('中文').click();
  await page.getByRole('heading', { name: '设置' }).waitFor();
  await page.goto(`/products/${productKey}/packages`);
  await page.getByText('尚无升级包').waitFor();
  await page.goto(`/products/${productKey}/devices`);
  await page.getByRole('combobox', { name: '筛选方式' }).click();
  await page.getByTitle('筛选条件').click();
  await page.getByRole('searchbox', { name: '筛选条件' }).fill('region ~ eu');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('筛选条件第').waitFor();
  assert.equal(await page.getByText('at character').count(), 0, 'the same stands below in English');
  await page.goto(`/products/${productKey}/nope`);
  await page.getByText('页面不存在').waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  await page.close();
});

test('what is said of a product and of a device is changed', async () => {
  const productKey = await product('Changing', ['lamp-0001']);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}`);
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Time zone').fill('Nowhere/At all');
  await press(page, 'Save');
  await page.getByRole('alert').getByText('Nowhere/At all').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Time zone').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.getByLabel('Time zone').fill('Asia/Shanghai');
  await page.getByRole('dialog').getByLabel('Name').fill('Changed');
  await press(page, 'Save');
  await page.getByRole('heading', { name: 'Changed' }).waitFor();

  await page.getByRole('link', { name: 'lamp-0001' }).click();
  await page.getByRole('heading', { name: 'lamp-0001' }).waitFor();
  await page.getByRole('button', { name: 'Change tags' }).click();
  await page.getByRole('combobox', { name: 'Tags' }).fill('region');
  await page.keyboard.press('Enter');
  await press(page, 'Save');
  await page.getByText('“region” is no tag').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Change tags' }).click();
  await page.getByRole('combobox', { name: 'Tags' }).fill('region=eu');
  await page.keyboard.press('Enter');
  await press(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByText('region=eu', { exact: true }).waitFor();
  const device = () => platform.api('GET', `/products/${productKey}/devices/lamp-0001`);
  assert.deepEqual((await device()).tags, { region: 'eu' });
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
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok((await overflow()) <= 0, `the page is ${await overflow()} pixels wider than the telephone`);
  const long = '路'.repeat(64);
  await platform.api('PATCH', `/products/${productKey}`, { name: long });
  await platform.api('POST', `/products/${productKey}/groups`, { name: long, description: '🚦'.repeat(200) });
  await page.getByRole('heading', { name: long }).waitFor();
  await page.goto(`/products/${productKey}/groups/${encodeURIComponent(long)}`);
  await page.getByText('🚦'.repeat(200)).waitFor();
  assert.ok((await overflow()) <= 0, `the group's page is ${await overflow()} pixels wider than the telephone`);
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
  await page.getByRole('button', { name: 'Upload package' }).first().click();
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByLabel('Version', { exact: true }).fill('2.0.0');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.getByText(createHash('md5').update(content).digest('hex')).waitFor();
  assert.deepEqual(offsets, [0, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE, 4 * PIECE]);
  await page.close();
});

test('a package of several files goes up file by file, and each goes on where it was', async () => {
  const productKey = await product('Many files', []);
  const contents = { 'app.bin': Buffer.alloc(10 * 1024 * 1024, 'app'), 'boot, new.bin': Buffer.alloc(1_000, 'boot') };
  const files = Object.keys(contents).map((name) => join(platform.folder, name));
  for (const file of files) writeFileSync(file, contents[basename(file)]);
  const page = await browser.page(platform.token);
  const offsets = [];
  let cut = true;
  await page.route('**/api/v1/uploads/*', async (route) => {
    const request = route.request();
    if (request.method() !== 'PATCH') return route.continue();
    const offset = Number(await request.headerValue('upload-offset'));
    offsets.push(offset);
    // Gone in the middle, with the dialog.
    return cut && offset === 2 * PIECE ? route.abort() : route.continue();
  });
  const choose = async () => {
    await page.goto(`/products/${productKey}/packages`);
    await page.getByRole('button', { name: 'Upload package' }).first().click();
    await page.locator('input[type=file]').setInputFiles(files);
    await page.getByText('travel over HTTP only').waitFor();
    await page.getByLabel('Version', { exact: true }).fill('2.0.0');
    await page.getByLabel('Verify on test devices first').uncheck();
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
  };
  await choose();
  await until('80 % of it', () => offsets.includes(2 * PIECE));
  cut = false;
  await choose();
  await page.getByRole('heading', { name: 'default 2.0.0' }).waitFor();
  assert.deepEqual(offsets.filter((offset) => offset > 0).slice(0, 3), [PIECE, 2 * PIECE, 2 * PIECE]);
  for (const [name, content] of Object.entries(contents)) {
    const row = page.getByRole('row', { name: name.replace(',', '_') });
    await row.getByText(createHash('md5').update(content).digest('hex')).waitFor();
  }
  await page.getByRole('link', { name: 'New job' }).first().click();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Rate, retries, timeouts and more').click();
  assert.ok(await page.getByLabel('HTTP(S)').isChecked());
  await page.close();
});

test('two operators change the same, and choose field by field', async () => {
  const productKey = await product('Both', ['lamp-0001']);
  const first = await browser.page(platform.token);
  const second = await browser.page(platform.token);
  const path = `/products/${productKey}`;
  const dialog = (page) => page.getByRole('dialog');
  const closed = (page) => dialog(page).waitFor({ state: 'hidden' });
  for (const page of [first, second]) {
    await page.goto(path);
    await page.getByRole('button', { name: 'Change', exact: true }).click();
  }
  await dialog(first).getByLabel('Name').fill('Of the first');
  await dialog(first).getByLabel('Seconds a strange version').fill('20');
  await dialog(first).getByRole('button', { name: 'Save' }).click();
  await closed(first);
  await dialog(second).getByLabel('Name').fill('Of the second');
  await dialog(second).getByLabel('Seconds a strange version').fill('40');
  await dialog(second).getByLabel('Time zone').fill('Asia/Shanghai');
  await dialog(second).getByRole('button', { name: 'Save' }).click();
  await second.getByText('Somebody else changed the same').waitFor();
  assert.equal((await platform.api('GET', path)).timezone, undefined, 'nothing of it is saved yet');
  assert.ok(await dialog(second).getByRole('button', { name: 'Save' }).isDisabled());
  await second.getByLabel('Mine: Of the second').check();
  await second.getByLabel('Theirs: 20').check();
  await dialog(second).getByRole('button', { name: 'Save' }).click();
  await closed(second);
  const { name, settleSeconds, timezone } = await platform.api('GET', path);
  assert.deepEqual({ name, settleSeconds, timezone }, { name: 'Of the second', settleSeconds: 20, timezone: 'Asia/Shanghai' });

  for (const page of [first, second]) {
    await page.goto(`${path}/devices/lamp-0001`);
    await page.getByRole('button', { name: 'Change tags' }).click();
    await page.getByRole('combobox', { name: 'Tags' }).fill(page === first ? 'region=eu' : 'region=us');
    await page.keyboard.press('Enter');
  }
  await dialog(first).getByRole('button', { name: 'Save' }).click();
  await closed(first);
  await dialog(second).getByRole('button', { name: 'Save' }).click();
  await second.getByLabel('Theirs: eu').check();
  await dialog(second).getByRole('button', { name: 'Save' }).click();
  await closed(second);
  assert.deepEqual((await platform.api('GET', `${path}/devices/lamp-0001`)).tags, { region: 'eu' });
  await first.close();
  await second.close();
});

test('devices are put into a group and taken out, and its filter is changed', async () => {
  const productKey = await product('Grouping', ['lamp-0001', 'lamp-0002', 'lamp-0003']);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/groups`);
  await page.getByRole('button', { name: 'Add group' }).first().click();
  await page.getByRole('dialog').getByLabel('Name').fill('first / 一');
  await press(page, 'Create');
  await page.getByRole('heading', { name: 'first / 一' }).waitFor();
  await page.getByText('No devices in this group yet').waitFor();

  await page.getByRole('button', { name: 'Add devices' }).click();
  await page.getByRole('textbox', { name: 'By names' }).fill('lamp-0001, lamp-0002\nnobody');
  await page.getByRole('dialog').getByRole('button', { name: 'Add devices' }).click();
  await page.getByText('2 added, 0 were in it, 1 refused').waitFor();
  await page.getByRole('row', { name: /^2 nobody/ }).waitFor();
  await page.getByRole('textbox', { name: 'By names' }).fill('region,deviceName\neu,lamp-0003\n');
  await page.getByRole('dialog').getByRole('button', { name: 'Add devices' }).click();
  await page.getByText('1 added, 0 were in it, 0 refused').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('3 devices').waitFor();
  await order(page, 'Take out', page.getByRole('row', { name: /lamp-0002/ }));
  await page.getByRole('link', { name: 'lamp-0002' }).waitFor({ state: 'hidden' });
  await page.getByText('2 devices').waitFor();

  await platform.api('POST', `/products/${productKey}/groups`, { name: 'few', filter: 'name like lamp-0001' });
  await page.goto(`/products/${productKey}/groups`);
  await page.getByRole('link', { name: 'few' }).click();
  await page.getByRole('link', { name: 'lamp-0001' }).waitFor();
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByRole('dialog').getByLabel('Filter').fill('name like lamp-0003');
  await page.getByRole('dialog').getByLabel('Description').fill('Only one');
  await press(page, 'Save');
  await page.getByRole('link', { name: 'lamp-0003' }).waitFor();
  await page.getByText('Only one').waitFor();
  await page.close();
});

test('what the help says of filters the platform reads', async () => {
  const productKey = await product('Helping', []);
  await platform.api('POST', `/products/${productKey}/groups`, { name: 'north' });
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/devices`);
  await page.getByRole('combobox', { name: 'Narrow by' }).click();
  await page.getByTitle('Filter', { exact: true }).click();
  await page.getByText('What can be written here').click();
  await page.getByText('lastSeen < now-7d').waitFor();
  const examples = await page.locator('.filter-help dt').allInnerTexts();
  assert.ok(examples.length > 10);
  for (const filter of examples) await platform.api('GET', `/products/${productKey}/devices?${new URLSearchParams({ filter })}`);
  await page.close();
});

test('a device registers again, comes in by a certificate, and is behind a gateway', async () => {
  const productKey = await product('Behind', ['meter-0001']);
  await platform.api('PATCH', `/products/${productKey}`, { dynamicRegistration: true });
  const gateways = await platform.api('POST', '/products', { name: 'Gateways', nodeType: 'gateway' });
  await platform.api('POST', `/products/${gateways.productKey}/devices`, { deviceName: 'gate-0001' });
  const page = await browser.page(platform.token);
  await page.goto(`/products/${gateways.productKey}/devices/gate-0001`);
  await page.getByText('No sub-devices behind this gateway yet').waitFor();
  await page.getByRole('button', { name: 'Add sub-device' }).click();
  await page.getByRole('dialog').getByLabel('Product').fill('Behind');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByLabel('DeviceName').fill('meter-0001');
  await page.getByRole('dialog').getByRole('button', { name: 'Add sub-device' }).click();
  await page.getByRole('link', { name: 'meter-0001' }).click();
  await page.getByRole('heading', { name: 'meter-0001' }).waitFor();
  await page.getByRole('link', { name: 'gate-0001' }).waitFor();

  await page.getByRole('button', { name: 'Register again' }).click();
  await page.getByLabel('For how many minutes').fill('30');
  await press(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.getByText('Registering again is allowed until').waitFor();
  const device = await platform.api('GET', `/products/${productKey}/devices/meter-0001`);
  assert.ok(Date.parse(device.registrationAllowedUntil) > Date.now());

  await page.getByRole('button', { name: 'Set certificate' }).click();
  const file = join(platform.folder, 'meter.pem');
  writeFileSync(file, `-----BEGIN CERTIFICATE-----\n${Buffer.from('a certificate').toString('base64')}\n-----END CERTIFICATE-----\n`);
  await page.locator('input[type=file]').setInputFiles(file);
  const sha256 = createHash('sha256').update('a certificate').digest('hex');
  await page.waitForFunction((sha256) => document.querySelector('textarea')?.value === sha256, sha256);
  await press(page, 'Save');
  await page.locator('[data-copy="SHA-256"]').getByText(sha256).waitFor();
  await order(page, 'Take certificate away');
  await page.getByText('None: the device comes in by its secret.').waitFor();

  await page.goto(`/products/${productKey}`);
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByLabel('Also devices that nobody has made').check();
  await press(page, 'Save');
  await page.getByRole('button', { name: 'Show ProductSecret' }).click();
  await page.locator('[data-copy="ProductSecret"]').waitFor();
  await page.close();
});

test('who comes back to a list finds it as it was', async () => {
  const names = Array.from({ length: 120 }, (_, at) => `${at < 60 ? 'lamp' : 'tram'}-${String(at + 1).padStart(4, '0')}`);
  const productKey = await product('Returning', names);
  const page = await browser.page(platform.token);
  await page.goto(`/products/${productKey}/devices`);
  await page.getByRole('searchbox', { name: 'Name begins with' }).fill('tram-');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'tram-0061' }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get('prefix'), 'tram-');
  await page.getByRole('button', { name: 'Next page' }).click();
  await page.getByRole('link', { name: 'tram-0120' }).click();
  await page.getByRole('heading', { name: 'tram-0120' }).waitFor();
  await page.goBack();
  await page.getByRole('link', { name: 'tram-0120' }).waitFor();
  await page.getByText('Page 2', { exact: true }).waitFor();
  assert.equal(await page.getByRole('searchbox', { name: 'Name begins with' }).inputValue(), 'tram-');
  await page.getByRole('searchbox', { name: 'Name begins with' }).fill('lamp-');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'lamp-0001' }).waitFor();
  await page.getByText('Page 1', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Devices', exact: true }).click();
  await until('all devices', async () => (await page.getByRole('searchbox', { name: 'Name begins with' }).inputValue()) === '');
  await page.close();
});

test('what happened begins with the newest and goes back to the first', async () => {
  const names = Array.from({ length: 60 }, (_, at) => `lamp-${String(at + 1).padStart(4, '0')}`);
  const productKey = await product('History', names);
  const page = await browser.page(platform.token);
  await page.goto('/events');
  await page.getByRole('combobox', { name: 'Product' }).fill('History');
  await page.keyboard.press('Enter');
  const events = page.getByRole('list', { name: 'Events' }).getByRole('listitem');
  await events.first().getByText('lamp-0060').waitFor();
  await page.getByText('The product was made').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Load older' }).click();
  await events.last().getByText('The product was made').waitFor();
  assert.equal(await events.count(), 61);
  await platform.api('PATCH', `/products/${productKey}/devices/lamp-0007`, { enabled: false });
  await events.first().getByText('The device may connect: no').waitFor();
  assert.equal(await events.count(), 62);
  await page.getByText('Products, packages and more', { exact: true }).click();
  await events.first().getByText('The product was made').waitFor();
  assert.equal(await events.count(), 1);
  await page.getByText('Tasks', { exact: true }).click();
  await page.getByText('Nothing happened yet.').waitFor();

  await page.goto('/health');
  await page.getByText('Ready', { exact: true }).waitFor();
  // What the platform measured before the page was opened.
  await page.getByRole('img', { name: 'Memory' }).locator('path.recharts-line-curve').waitFor();
  await page.getByText('Reports waiting to be written').waitFor();
  await page.getByText('Time to write a batch, mean').waitFor();
  await page.getByText('otaru_events_total').waitFor();
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
  await page.getByRole('link', { name: 'Modules', exact: true }).click();
  await page.getByRole('link', { name: 'Remote configuration' }).click();
  await page.getByText('Version 2 was made by somebody else').waitFor();
  assert.equal(await text.inputValue(), '{"value": 3}', 'a look at another tab lost it');
  const theirs = page.getByLabel('Compare with version 2');
  await theirs.getByText('- {"value":2}').waitFor();
  await theirs.getByText('+ {"value": 3}').waitFor();
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await page.getByText('Version 3', { exact: true }).waitFor();

  await page.getByRole('combobox', { name: 'Compare' }).click();
  await page.getByTitle('Compare with version 1').click();
  await page.getByLabel('Compare with version 1').getByText('- {"value":1}').waitFor();
  await page.getByRole('button', { name: 'Take version 1 into the field' }).click();
  await page.getByText('No difference.').waitFor();
  assert.equal(await text.inputValue(), '{"value":1}');
  await page.getByRole('button', { name: 'Save as new version' }).click();
  await page.getByText('Version 4', { exact: true }).waitFor();
  await order(page, 'Push to all devices');
  await page.getByText('leads each of them to itself').waitFor();
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
