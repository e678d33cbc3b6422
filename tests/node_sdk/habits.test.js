// What the official Node.js SDK publishes beside updates and waits for: answered, though nothing of it is kept.
'use strict';

const assert = require('node:assert/strict');
const { onPlatform, within } = require('./platform');

onPlatform('posts, tags and the shadow are answered', async (platform) => {
  const device = await platform.device('camera-1');
  const posted = await device.call('postProps', { brightness: 7 });
  assert.deepEqual([posted.code, posted.message, posted.data], [200, 'success', {}]);
  assert.equal((await device.call('postEvent', 'alarm', { level: 2 })).code, 200);
  assert.equal((await device.call('postTags', [{ attrKey: 'colour', attrValue: 'red' }])).code, 200);
  assert.equal((await device.call('deleteTags', ['colour'])).code, 200);

  const shadow = (ask) => within('the shadow', new Promise((resolve) => {
    device.sdk.onShadow(resolve);
    ask();
  }));
  assert.equal((await shadow(() => device.sdk.getShadow())).payload.status, 'success');
  assert.equal((await shadow(() => device.sdk.postShadow({ a: 1 }))).payload.status, 'success');
  assert.equal((await shadow(() => device.sdk.deleteShadow('a'))).payload.status, 'success');
});

onPlatform('the time is told', async (platform) => {
  const device = await platform.device('camera-1');
  const [request, response] = ['request', 'response'].map((word) => device.ext('ntp', word));
  const before = Date.now();
  await device.publish(request, { deviceSendTime: String(before) });
  const told = await device.message(response);
  assert.equal(told.deviceSendTime, String(before));
  assert.ok(Math.abs(Number(told.serverRecvTime) - before) < 60000);
  assert.ok(Number(told.serverSendTime) >= Number(told.serverRecvTime));
});
