// A platform and a browser for the tests of a file.
import { after, before } from 'node:test';

import { Browser, Platform } from './harness.js';

export let platform;
export let browser;

before(async () => {
  platform = await Platform.start();
  browser = await Browser.start(platform.url);
});

/** What is to be ended before the platform is. */
const onIt = [];
export const endFirst = (end) => onIt.push(end);

after(async () => {
  for (const end of onIt) await end();
  await browser?.stop();
  await platform?.stop();
});

/** Makes a product with devices; gives its key. */
export async function product(name, devices) {
  const { productKey } = await platform.api('POST', '/products', { name });
  for (const deviceName of devices) await platform.api('POST', `/products/${productKey}/devices`, { deviceName });
  return productKey;
}
