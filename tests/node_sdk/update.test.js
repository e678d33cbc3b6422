// Updates of devices that run the official Node.js SDK, unmodified but for its host and port. The SDK leaves it to
// the application to read notices, so the application here is written after docs/protocol.md 5 and 6.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { PRODUCT_KEY, onPlatform, until } = require('./platform');

const FIRMWARE = Buffer.concat(Array.from({ length: 4096 }, (_, n) => createHash('sha256').update(String(n)).digest()));
const BLOCK = 10240;

const hex = (algorithm, bytes) => createHash(algorithm).update(bytes).digest('hex');

/** CRC-16/ARC, bit by bit. */
function crc16(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

/** Starts an update of a device that reports 1.0.0; gives its notice and how its task stands. */
async function begin(platform, device, protocol) {
  const image = platform.path('camera.bin');
  fs.writeFileSync(image, FIRMWARE);
  const pack = await platform.json('package', 'add', PRODUCT_KEY, image, '--version', '2.0.0', '--no-verify');
  await device.report('1.0.0');
  const started = await platform.json('job', 'start', pack.id, '--device', device.name, '--protocol', protocol);
  const state = async () => (await platform.json('job', 'tasks', started.job.id))[0]?.state;
  const notice = await device.message(device.ota('upgrade'));
  assert.equal(notice.message, 'success');
  const { data } = notice;
  assert.deepEqual([data.version, data.size, data.md5], ['2.0.0', FIRMWARE.length, hex('md5', FIRMWARE)]);
  return { data, state };
}

async function finish(device, state) {
  await device.progress(100);
  assert.equal(await state(), 'IN_PROGRESS', '100 per cent is not success');
  await device.report('2.0.0');
  await until('success', async () => (await state()) === 'SUCCEEDED');
}

onPlatform('an update over HTTP', async (platform) => {
  const device = await platform.device('camera-1');
  const { data, state } = await begin(platform, device, 'http');
  const answer = await fetch(data.url);
  assert.equal(answer.status, 200);
  const received = Buffer.from(await answer.arrayBuffer());
  assert.equal(hex('md5', received), data.sign, 'the file arrived as it was sent');
  await finish(device, state);
});

/** One block of the stream of a notice, checked. */
async function block(device, data, offset) {
  const fileInfo = { streamId: data.streamId, fileId: data.streamFileId };
  const params = { fileToken: 'node', fileInfo, fileBlock: { size: BLOCK, offset } };
  await device.publish(device.thing('file/download'), { id: String(offset), version: '1.0', params });
  const frame = await device.bytes(device.thing('file/download_reply'));
  const start = 2 + frame.readUInt16BE(0);
  const head = JSON.parse(frame.subarray(2, start));
  const bytes = frame.subarray(start, -2);
  assert.deepEqual([head.code, head.id, head.data.fileToken], [200, String(offset), 'node']);
  assert.deepEqual([head.data.bOffset, head.data.bSize, head.data.fileLength], [offset, bytes.length, data.size]);
  assert.equal(frame.readUInt16LE(frame.length - 2), crc16(bytes));
  return bytes;
}

for (const scheme of ['mqtt', 'ws']) {
  onPlatform(`an update over MQTT, ${scheme}://`, async (platform) => {
    const device = await platform.device('camera-2', { brokerUrl: `${scheme}://127.0.0.1:${platform.port}/` });
    const { data, state } = await begin(platform, device, 'mqtt');
    const blocks = [];
    for (let offset = 0; offset < data.size; offset += BLOCK) {
      blocks.push(await block(device, data, offset));
      await device.progress(Math.floor((100 * offset) / data.size));
    }
    assert.equal(hex('md5', Buffer.concat(blocks)), data.sign, 'the file arrived as it was sent');
    await finish(device, state);
  });
}
