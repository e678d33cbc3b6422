// What an operator sees first.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from './harness.js';
import { order } from './pages.js';
import { browser, platform, product } from './stage.js';

test('the overview tells how the fleet is, and begins with the jobs that are held', async () => {
  const productKey = await product('Overviewed', ['lamp-a', 'lamp-b', 'lamp-c', 'lamp-d', 'lamp-e']);
  await platform.api('PATCH', `/products/${productKey}/devices/lamp-d`, { enabled: false });
  const [a, b] = await Promise.all(['lamp-a', 'lamp-b'].map((name) => platform.device(productKey, name)));
  for (const device of [a, b]) await device.version('1.0.0');
  const { id: packageId } = await platform.package(productKey, '2.0.0');
  const job = async (deviceNames, terms = {}) =>
    (await platform.api('POST', '/jobs', { kind: 'STATIC', packageId, scope: { kind: 'named', deviceNames }, terms })).job.id;
  const halted = await job(['lamp-a', 'lamp-e'], { maxFailures: 0, attempts: 1 });
  const running = await job(['lamp-b', 'lamp-c'], { waves: [{ kind: 'count', n: 1 }, { kind: 'percent', percent: 100 }] });
  await a.notice();
  await a.progress(-2, 'flash is full');
  await b.end();

  const page = await browser.page(platform.token);
  await page.goto('/');
  const card = page.locator('.ant-card').filter({ has: page.getByRole('link', { name: 'Overviewed' }) }).last();
  const status = async (name) => (await card.locator('.ant-statistic').filter({ hasText: name }).locator('.ant-statistic-content').innerText()).replace(/\s/g, '');
  await until('the statuses', async () => {
    const found = await Promise.all(['Online', 'Offline', 'Never connected', 'Disabled'].map(status));
    return found.join() === '1/5,1/5,3/5,1/5';
  });
  await card.getByRole('row', { name: /never reported 3/ }).waitFor();
  const first = page.getByRole('table', { name: 'Jobs' }).getByRole('row').nth(1);
  await first.getByText('Halted').waitFor();
  assert.ok(await first.getByRole('link', { name: halted }).isVisible());
  await page.getByRole('log', { name: 'Events' }).getByText('The job is held').waitFor();
  await page.getByText('Completed', { exact: true }).click();
  await page.getByRole('table', { name: 'Jobs' }).getByRole('link', { name: running }).waitFor({ state: 'detached' });
  await card.getByRole('link', { name: 'Offline' }).click();
  const devices = page.getByRole('table', { name: 'Devices' });
  await devices.getByRole('link', { name: 'lamp-b' }).waitFor();
  assert.equal(await devices.getByRole('link', { name: 'lamp-a' }).count(), 0);

  await page.goto(`/jobs/${running}`);
  await order(page, 'Open next wave');
  await page.getByRole('row', { name: /Skipped/ }).waitFor();
  await page.getByText('Wave 2 was opened by an operator').waitFor();

  await page.goto(`/jobs/${halted}`);
  await page.getByRole('row', { name: /The device reported a failure/ }).getByRole('link', { name: 'all' }).click();
  await page.getByText('Only: The device reported a failure').waitFor();
  assert.match(page.url(), /state=FAILED&reason=deviceFailed/);
  await page.getByRole('table', { name: 'Tasks' }).getByRole('link', { name: 'lamp-a' }).waitFor();
  await page.getByRole('searchbox', { name: 'DeviceName' }).fill('lamp-e');
  await page.keyboard.press('Enter');
  await page.getByText('No tasks here.').waitFor();
  await page.getByText('Only: The device reported a failure').locator('.anticon').click();
  await page.getByText(/^All \(/).click();
  await page.getByRole('table', { name: 'Tasks' }).getByRole('link', { name: 'lamp-e' }).waitFor();
  await a.end();
  await page.close();
});
