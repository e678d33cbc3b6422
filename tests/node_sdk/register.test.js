// Registration of the official Node.js SDK over HTTP, with its `registerURL` set.
'use strict';

const assert = require('node:assert');
const { PRODUCT_KEY, SECRET, iot, onPlatform, within } = require('./platform');

/** What the SDK gives to the application. */
function register(platform, productSecret, deviceName, config = {}) {
  const registerURL = `http://127.0.0.1:${platform.port}/auth/register/device`;
  const device = { productKey: PRODUCT_KEY, productSecret, deviceName, registerURL, ...config };
  return within('the answer', new Promise((resolve) => iot.register(device, resolve)));
}

onPlatform('a device made beforehand registers over HTTP', async (platform) => {
  const { productSecret } = await platform.json('product', 'credentials', PRODUCT_KEY);
  const off = await register(platform, productSecret, 'camera-1');
  assert.strictEqual(off.code, 6288);
  await platform.order('product', 'set', PRODUCT_KEY, '--dynamic-registration', 'true');
  assert.strictEqual((await register(platform, productSecret, 'camera-1')).code, 6100);
  await platform.order('device', 'add', PRODUCT_KEY, 'camera-1', '--secret', SECRET);
  assert.deepStrictEqual(await register(platform, productSecret, 'camera-1'), {
    code: 200,
    data: { productKey: PRODUCT_KEY, deviceName: 'camera-1', deviceSecret: SECRET },
    message: 'success',
  });
  // The SDK signs with SHA-1 whatever it says.
  const answer = await register(platform, productSecret, 'camera-1', { signMethod: 'hmacsha256' });
  assert.strictEqual(answer.code, 6600);
  assert.strictEqual((await register(platform, 'wrong', 'camera-1')).code, 6600);
}, ['--register-in-clear', 'true']);
