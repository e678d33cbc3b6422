// A gateway that runs the official Node.js SDK, unmodified but for its host and port, with a sub-device that is
// upgraded through it.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const { PRODUCT_KEY, SECRET, iot, onPlatform, until, within } = require('./platform');

const METERS = 'a1MeterPk01';
const FIRMWARE = Buffer.alloc(4096, 'firmware of a meter ');
const SUB = { productKey: METERS, deviceName: 'meter-1', deviceSecret: SECRET };
const NAMES = { productKey: METERS, deviceName: 'meter-1' };

/** Calls a function of the SDK that takes a callback as its last argument; gives the answer. */
function call(gateway, method, ...args) {
  return within(`an answer to ${method}`, new Promise((resolve) => gateway[method](...args, resolve)));
}

async function connected(platform) {
  await platform.order('product', 'set', PRODUCT_KEY, '--gateway', 'true');
  await platform.order('product', 'add', 'Meter', '--key', METERS);
  await platform.order('device', 'add', PRODUCT_KEY, 'gateway-1', '--secret', SECRET);
  await platform.order('device', 'add', METERS, 'meter-1', '--secret', SECRET);
  const gateway = iot.gateway({
    productKey: PRODUCT_KEY, deviceName: 'gateway-1', deviceSecret: SECRET,
    brokerUrl: `mqtt://127.0.0.1:${platform.port}/`,
  });
  platform.devices.push({ sdk: gateway });
  gateway.on('error', () => {});
  await within('the connection of the gateway', once(gateway, 'connect'));
  return gateway;
}

/** The next message on a topic. */
function message(gateway, topic) {
  return within(`a message on ${topic}`, new Promise((resolve) => {
    gateway.on('message', (found, payload) => found === topic && resolve(JSON.parse(payload)));
  }));
}

onPlatform('a sub-device is upgraded through its gateway', async (platform) => {
  const gateway = await connected(platform);
  const online = async () => (await platform.json('device', 'show', METERS, 'meter-1')).online;
  const wrong = await call(gateway, 'addTopo', [{ ...SUB, deviceSecret: 'wrong' }]);
  assert.equal(wrong.code, 6287);
  assert.equal((await call(gateway, 'addTopo', [SUB])).code, 200);
  assert.deepEqual((await call(gateway, 'getTopo')).data, [NAMES]);

  let sub;
  const login = await within('an answer to login', new Promise((resolve) => {
    sub = gateway.login(SUB, resolve);
  }));
  assert.deepEqual([login.code, login.data], [200, NAMES]);
  await until('the sub-device online', online);

  const image = platform.path('meter.bin');
  fs.writeFileSync(image, FIRMWARE);
  const pack = await platform.json('package', 'add', METERS, image, '--version', '2.0.0', '--no-verify');
  const notice = message(gateway, `/ota/device/upgrade/${METERS}/meter-1`);
  const report = (version) => sub.publish(
    `/ota/device/inform/${METERS}/meter-1`, JSON.stringify({ id: '1', params: { version } }), { qos: 1 });
  report('1.0.0');
  const { job } = await platform.json('job', 'start', pack.id, '--device', 'meter-1', '--protocol', 'http');
  const { data } = await notice;
  const answer = await fetch(data.url);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), FIRMWARE);
  report('2.0.0');
  await until('success', async () => (await platform.json('job', 'show', job.id)).state === 'COMPLETED');

  assert.equal((await call(gateway, 'logout', NAMES)).code, 200);
  await until('the sub-device offline', async () => !(await online()));
  assert.equal((await call(gateway, 'removeTopo', [NAMES])).code, 200);
  assert.deepEqual((await call(gateway, 'getTopo')).data, []);
});

onPlatform('a gateway gets the secret of its sub-device', async (platform) => {
  const gateway = await connected(platform);
  assert.equal((await call(gateway, 'regiestSubDevice', NAMES)).code, 6288);
  await platform.order('product', 'set', METERS, '--dynamic-registration', 'true');
  const { code, data } = await call(gateway, 'regiestSubDevice', NAMES);
  assert.deepEqual([code, data[0].deviceSecret], [200, SECRET]);
  assert.equal((await call(gateway, 'addTopo', [{ ...NAMES, deviceSecret: data[0].deviceSecret }])).code, 200);
}, ['--register-in-clear', 'true']);
