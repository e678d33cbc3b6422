// A platform with something on every page, and where the pages are.

import { until } from './harness.js';

/** Puts a product, devices in several states, packages and jobs there. */
export async function furnish(platform) {
  const { productKey } = await platform.api('POST', '/products', { name: 'Street lamp', productKey: 'a1TestPk001' });
  await platform.api('POST', `/products/${productKey}/modules`, { name: 'MCU', alias: 'Motor controller' });
  await platform.api('POST', `/products/${productKey}/groups`, { name: 'canary', description: 'The first to get it' });
  await platform.api('POST', `/products/${productKey}/groups`, { name: 'europe', filter: 'tag.region = eu' });
  const names = Array.from({ length: 12 }, (_, at) => `lamp-${String(at + 1).padStart(4, '0')}`);
  for (const deviceName of names) await platform.api('POST', `/products/${productKey}/devices`, { deviceName });
  await platform.api('PATCH', `/products/${productKey}/devices/lamp-0001`, { tags: { region: 'eu', ring: 'canary' } });
  await platform.api('PATCH', `/products/${productKey}/devices/lamp-0012`, { enabled: false });
  await platform.api('POST', `/products/${productKey}/groups/canary/members`, { deviceNames: names.slice(0, 3) });
  const gateways = await platform.api('POST', '/products', { name: 'Gateway', nodeType: 'gateway' });
  await platform.api('POST', `/products/${gateways.productKey}/devices`, { deviceName: 'gate-0001' });
  await platform.api('POST', `/products/${gateways.productKey}/devices/gate-0001/sub-devices`, { productKey, deviceName: names[10] });
  await platform.api('POST', `/products/${productKey}/configuration/versions`, { interval: 60, server: 'eu' });
  const devices = await Promise.all(names.slice(0, 10).map((name) => platform.device(productKey, name)));
  await Promise.all(devices.map((device) => device.version('1.0.0')));
  const { id: packageId } = await platform.package(productKey, '2.0.0', 300_000);
  const waves = [{ kind: 'count', n: 4 }, { kind: 'percent', percent: 100 }];
  const terms = { attempts: 1, waves, soakMinutes: 60, minSuccess: { kind: 'percent', percent: 50 } };
  const { job } = await platform.api('POST', '/jobs', { kind: 'STATIC', packageId, scope: { kind: 'all' }, terms });
  const told = () => devices.filter((device) => device.notices.length > 0);
  await until('the first wave', () => told().length === 4);
  const [first, second, third, fourth] = told();
  for (const device of [first, second]) {
    await device.progress(100);
    await device.version('2.0.0');
  }
  await third.progress(-2, 'flash is full');
  await fourth.progress(40);
  const paths = {
    overview: '/',
    products: '/products',
    devices: `/products/${productKey}/devices`,
    packages: `/products/${productKey}/packages`,
    modules: `/products/${productKey}/modules`,
    groups: `/products/${productKey}/groups`,
    group: `/products/${productKey}/groups/canary`,
    configuration: `/products/${productKey}/configuration`,
    analysis: `/products/${productKey}/analysis`,
    device: `/products/${productKey}/devices/lamp-0001`,
    gateway: `/products/${gateways.productKey}/devices/gate-0001`,
    package: `/packages/${packageId}`,
    'new-job': `/packages/${packageId}/new-job`,
    jobs: '/jobs',
    job: `/jobs/${job.id}`,
    events: '/events',
    health: '/health',
    settings: '/settings',
  };
  const end = () => Promise.all(devices.map((device) => device.end()));
  return { paths, end };
}

/** Opens a page and waits until it shows what it was asked for. */
export async function open(page, path) {
  await page.goto(path);
  await page.locator('h1').waitFor();
  await page.waitForFunction(() => !document.querySelector('.ant-skeleton, .ant-spin-spinning'));
  await page.evaluate(() => document.fonts.ready);
}

/** Presses a button once nothing moves any more: one that is still on its way is missed now and then. */
export async function press(page, name, within = page) {
  const button = within.getByRole('button', { name, exact: true });
  await button.waitFor();
  await page.waitForFunction(() => {
    const isOver = (moving) => moving.playState !== 'running' || moving.effect?.getComputedTiming().iterations === Infinity;
    return document.getAnimations().every(isOver);
  });
  await button.click();
}

/** Gives an order, and says that it is meant. */
export async function order(page, name, within = page) {
  await within.getByRole('button', { name, exact: true }).click();
  await press(page, name, page.getByRole('dialog'));
}

/** Waits until an order is asked about in these words. */
export const asked = (page, words) => page.locator('.ant-modal-confirm-title').getByText(words).waitFor();
