// Remote configuration of devices that run the official Node.js SDK.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { PRODUCT_KEY, onPlatform, until, within } = require('./platform');

const FILE = '{"interval": 30}';

async function check(data) {
  assert.deepEqual([data.configSize, data.signMethod, data.getType], [FILE.length, 'Sha256', 'file']);
  assert.equal(data.sign, createHash('sha256').update(FILE).digest('hex'));
  assert.equal(await (await fetch(data.url)).text(), FILE);
}

onPlatform('a configuration is asked for, and pushed', async (platform) => {
  const file = platform.path('config.json');
  fs.writeFileSync(file, FILE);
  const asking = await platform.device('camera-1');
  assert.equal((await asking.call('getConfig')).code, 6710);
  await platform.order('config', 'set', PRODUCT_KEY, file);
  assert.equal(await platform.order('config', 'get', PRODUCT_KEY), FILE);
  const asked = await asking.call('getConfig');
  assert.equal(asked.code, 200);
  await check(asked.data);

  const pushed = await platform.device('camera-2');
  const push = within('a push', new Promise((resolve) => pushed.sdk.onConfig(resolve)));
  await platform.order('config', 'push', PRODUCT_KEY, '--all');
  const { id, method, params } = await push;
  assert.equal(method, 'thing.config.push');
  await check(params);
  await pushed.publish(pushed.thing('config/push_reply'), { id, code: 200, data: {} });
  await until('what both devices did', async () => {
    const [one, two] = await platform.json('config', 'devices', PRODUCT_KEY);
    return one.fetched?.version === 1 && two.fetched?.version === 1 && two.answered?.version === 1 && two.code === 200;
  });

  await platform.order('config', 'disable', PRODUCT_KEY);
  assert.equal((await asking.call('getConfig')).code, 6713);
});
