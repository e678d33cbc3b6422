// A newcomer brings a first device to a new version, led by nothing but what the pages say.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Device } from './harness.js';
import { press } from './pages.js';
import { browser, platform } from './stage.js';

const copied = (page, name, at = 0) => page.locator(`[data-copy="${name}"]`).nth(at).innerText().then((text) => text.trim());

test('from the first sign-in to a package on every device', async () => {
  const page = await (await browser.context()).newPage();
  await page.goto('/');

  await page.getByLabel('Admin token').fill('not the token');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('the token is not this platform').waitFor();
  await page.getByLabel('Admin token').fill(platform.token);
  await page.getByRole('button', { name: 'Sign in' }).click();

  await page.getByText('Begin with one').waitFor();
  await page.getByRole('button', { name: 'Create product' }).click();
  await page.getByLabel('Name').fill('Street lamp');
  await press(page, 'Create');

  await page.getByText('Add the first one').waitFor();
  await page.getByRole('button', { name: 'Add device' }).first().click();
  await page.getByLabel('DeviceName').fill('lamp-0001');
  await press(page, 'Create');

  await page.getByRole('heading', { name: 'lamp-0001' }).waitFor();
  await page.getByText('Never connected').waitFor();
  const [productKey] = /(?<=products\/)[^/]+/.exec(page.url());
  const device = new Device(productKey, 'lamp-0001', {
    host: await copied(page, 'Host'),
    port: Number(await copied(page, 'Port')),
    clientId: await copied(page, 'Client ID'),
    username: await copied(page, 'Username'),
    password: await copied(page, 'Password'),
  });
  await page.getByRole('button', { name: 'Watch' }).click();
  await page.getByText('The first message appears here').waitFor();
  await device.say(await copied(page, 'Topic'), await copied(page, 'Payload'));
  await page.getByText('Online', { exact: true }).waitFor();
  await page.getByRole('cell', { name: '1.0.0', exact: true }).waitFor();
  await page.getByRole('log').getByText('/ota/device/inform/').waitFor();

  await page.getByRole('link', { name: 'Street lamp' }).click();
  await page.getByRole('link', { name: 'Packages' }).click();
  await page.getByText('upload the first one').waitFor();
  await page.getByRole('button', { name: 'Upload package' }).first().click();
  const file = join(platform.folder, 'lamp.bin');
  writeFileSync(file, 'the new firmware');
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByLabel('Version', { exact: true }).fill('2.0.0');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();

  await page.getByText('must first succeed on test devices').waitFor();
  await page.getByRole('link', { name: 'Verify package' }).first().click();
  await page.getByRole('combobox', { name: 'Devices' }).click();
  await page.getByText('lamp-0001 · Online').click();
  await page.keyboard.press('Escape');
  await page.getByText('Devices upgraded').waitFor();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByText('Verifies version 2.0.0 of module default. Devices: 1.').waitFor();
  await page.getByRole('button', { name: 'Start', exact: true }).click();

  await page.getByRole('heading', { name: 'Verification of default 2.0.0' }).waitFor();
  const notice = await device.notice();
  assert.equal(notice.data.version, '2.0.0');
  await device.progress(50);
  await page.getByRole('row', { name: /lamp-0001/ }).getByText('Upgrading').waitFor();
  await device.progress(100);
  await device.version('2.0.0');
  await page.getByText('Completed', { exact: true }).waitFor();
  await device.end();

  const fleet = platform.run('sim', 'fleet', productKey, '--devices', '20', '--host', `127.0.0.1:${platform.devices}`, '--updates', '20');
  await page.getByText('Now it can be rolled out.').waitFor();
  await page.getByRole('link', { name: 'New job' }).first().click();
  await page.getByText('Filter', { exact: true }).first().click();
  await page.getByRole('textbox', { name: 'Filter' }).fill('name like sim-* and module.default = 1.0.0');
  await page.getByText('20', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByLabel('Waves').fill('5, 100%');
  await page.getByLabel('Minutes a wave rests').fill('0');
  await page.getByText('By wave: 5 + 15').waitFor();
  await page.getByRole('button', { name: 'Next', exact: true }).click();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.getByText('Completed', { exact: true }).waitFor();
  await page.getByText('20 succeeded, 0 failed, of 20').waitFor();
  await page.getByRole('cell', { name: 'Passed' }).waitFor();
  assert.equal(await fleet.ended, 0);
});
