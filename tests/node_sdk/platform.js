// A running `otaru serve` in a temporary folder, with the operator's commands to it, and devices that let the
// official Node.js SDK do everything the SDK can do.
'use strict';

const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const test = require('node:test');
const iot = require('alibabacloud-iot-device-sdk');

const OTARU = process.env.OTARU_BIN;
const PRODUCT_KEY = 'a1TestPk001';
const SECRET = '0123456789abcdef0123456789abcdef';
const PATIENCE_MS = 30000; // for any one thing to happen

async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await promisify(probe.close.bind(probe))();
  return port;
}

/** Rejects when a promise takes too long, naming what was waited for. */
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function until(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() >= end) throw new Error(`${what} did not happen within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

class Platform {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'otaru-node-'));
    this.log = this.path('serve.log');
    this.devices = [];
  }

  /** Starts the platform and adds the product; `flags` are further ones of `otaru serve`. */
  async start(flags = []) {
    this.port = await freePort();
    const operators = await freePort();
    const places = { OTARU_DATA: this.path('data'), OTARU_URL: `http://127.0.0.1:${operators}` };
    this.env = { ...process.env, ...places };
    const log = fs.openSync(this.log, 'w');
    this.process = spawn(OTARU, [
      'serve', '--devices', `127.0.0.1:${this.port}`, '--operators', `127.0.0.1:${operators}`,
      '--public-url', `http://127.0.0.1:${this.port}`, ...flags,
    ], { env: this.env, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    await until('an answer of otaru serve', () => this.order('product', 'list').then(() => true, () => false));
    await this.order('product', 'add', 'Camera', '--key', PRODUCT_KEY);
  }

  /** Runs `otaru WORDS`, which must succeed; gives what it prints. */
  async order(...words) {
    const { stdout } = await promisify(execFile)(OTARU, words, { env: this.env });
    return stdout;
  }

  async json(...words) {
    return JSON.parse(await this.order(...words, '--json'));
  }

  /** A path in the temporary folder. */
  path(name) {
    return path.join(this.folder, name);
  }

  /** A device of the product that is connected; `config` is more for the SDK. */
  async device(name, config = {}) {
    await this.order('device', 'add', PRODUCT_KEY, name, '--secret', SECRET);
    const device = new Device(iot.device({
      productKey: PRODUCT_KEY, deviceName: name, deviceSecret: SECRET,
      brokerUrl: `mqtt://127.0.0.1:${this.port}/`, ...config,
    }), name);
    this.devices.push(device);
    await within(`the connection of ${name}`, once(device.sdk, 'connect'));
    return device;
  }

  async stop(showLog) {
    this.devices.forEach((device) => device.sdk.end(true));
    if (this.process?.kill()) await once(this.process, 'exit');
    if (showLog) {
      const lines = fs.readFileSync(this.log, 'utf8').split('\n');
      console.error(['--- log of otaru serve:', ...lines.slice(-30)].join('\n'));
    }
    fs.rmSync(this.folder, { recursive: true });
  }
}

/** A connected device: the SDK's object, and the messages that came to it and nobody has taken yet. */
class Device {
  constructor(sdk, name) {
    this.sdk = sdk;
    this.name = name;
    this.came = [];
    sdk.on('message', (topic, payload) => {
      this.came.push({ topic, payload });
      sdk.emit('otaru-came');
    });
    // The SDK tries again by itself; what is waited for will say what is missing.
    sdk.on('error', () => {});
  }

  /** A topic `/sys/…/thing/TAIL` of this device. */
  thing(tail) {
    return `/sys/${PRODUCT_KEY}/${this.name}/thing/${tail}`;
  }

  /** A topic `/ota/device/WORD/…` of this device. */
  ota(word) {
    return `/ota/device/${word}/${PRODUCT_KEY}/${this.name}`;
  }

  /** A topic `/ext/WORD/…/TAIL` of this device. */
  ext(word, tail) {
    return `/ext/${word}/${PRODUCT_KEY}/${this.name}/${tail}`;
  }

  /** Publishes a message with QoS 1; resolves at its PUBACK. */
  publish(topic, message) {
    const publish = promisify(this.sdk.publish.bind(this.sdk));
    return within(`the PUBACK on ${topic}`, publish(topic, JSON.stringify(message), { qos: 1 }));
  }

  /** The next message on a topic, as bytes. */
  async bytes(topic) {
    for (;;) {
      const at = this.came.findIndex((message) => message.topic === topic);
      if (at >= 0) return this.came.splice(at, 1)[0].payload;
      await within(`a message on ${topic}`, once(this.sdk, 'otaru-came'));
    }
  }

  /** The next message on a topic. */
  async message(topic) {
    return JSON.parse(await this.bytes(topic));
  }

  report(version) {
    return this.publish(this.ota('inform'), { id: '1', params: { version } });
  }

  progress(step, desc = '') {
    return this.publish(this.ota('progress'), { id: '2', params: { step: String(step), desc } });
  }

  /** Calls a function of the SDK that takes a callback as its last argument; gives the answer. */
  call(method, ...args) {
    return within(`an answer to ${method}`, new Promise((resolve) => this.sdk[method](...args, resolve)));
  }
}

/** A test with a platform of its own. */
function onPlatform(what, body, flags) {
  test(what, async () => {
    const platform = new Platform();
    let finished = false;
    try {
      await platform.start(flags);
      await body(platform);
      finished = true;
    } finally {
      await platform.stop(!finished);
    }
  });
}

module.exports = { PRODUCT_KEY, SECRET, iot, onPlatform, until, within };
