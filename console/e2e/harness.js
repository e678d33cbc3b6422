// A real `otaru serve` in a folder of its own, and a browser that looks at it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import mqtt from 'mqtt';
import { chromium } from 'playwright-core';

const OTARU = process.env.OTARU_BIN ?? new URL('../../target/debug/otaru', import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** Milliseconds for any one thing to happen. */
export const PATIENCE = 30_000;

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `${what} did not happen in time`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export class Platform {
  static async start() {
    const platform = new Platform();
    platform.folder = mkdtempSync(join(tmpdir(), 'otaru-console-'));
    platform.data = join(platform.folder, 'data');
    platform.devices = await freePort();
    platform.url = `http://127.0.0.1:${await freePort()}`;
    platform.programs = [];
    await platform.serve();
    return platform;
  }

  async serve() {
    const operators = this.url.slice('http://'.length);
    const devices = `127.0.0.1:${this.devices}`;
    this.process = this.run('serve', '--devices', devices, '--operators', operators, '--public-url', `http://${devices}`);
    await until('an answer of otaru serve', () => fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false));
  }

  run(...words) {
    const env = { ...process.env, OTARU_DATA: this.data, OTARU_URL: this.url };
    const program = spawn(OTARU, words, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    program.ended = new Promise((resolve) => program.once('exit', resolve));
    this.programs.push(program);
    return program;
  }

  get token() {
    return readFileSync(join(this.data, 'admin-token'), 'utf8').trim();
  }

  async api(method, path, body) {
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** A package of so many bytes that needs no verification. */
  async package(productKey, version, size = 2_000) {
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/octet-stream' };
    const address = `${this.url}/api/v1/products/${productKey}/packages?version=${version}&needVerify=false`;
    const answer = await fetch(address, { method: 'POST', headers, body: Buffer.alloc(size, version) });
    assert.ok(answer.ok, await answer.clone().text());
    return answer.json();
  }

  /** A device on a connection of its own, by the values that the API tells. */
  async device(productKey, deviceName) {
    const { logins } = await this.api('GET', `/products/${productKey}/devices/${deviceName}/credentials`);
    const { clientId, username, password } = logins[0];
    return new Device(productKey, deviceName, { host: '127.0.0.1', port: this.devices, clientId, username, password });
  }

  async end(program = this.process) {
    program.kill();
    await program.ended;
  }

  async stop() {
    for (const program of this.programs) await this.end(program);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Device {
  constructor(productKey, deviceName, login) {
    this.name = `${productKey}/${deviceName}`;
    this.notices = [];
    this.client = mqtt.connect({ protocol: 'mqtt', protocolVersion: 4, reconnectPeriod: 0, ...login });
    this.client.on('message', (topic, payload) => {
      if (topic.startsWith('/ota/device/upgrade/')) this.notices.push(JSON.parse(payload));
    });
    this.client.on('error', (error) => (this.error = error));
  }

  async say(topic, payload) {
    if (!this.client.connected) await until('a connection', () => this.client.connected || this.error);
    assert.equal(this.error, undefined);
    await this.client.publishAsync(topic, payload, { qos: 1 });
  }

  version(version) {
    return this.say(`/ota/device/inform/${this.name}`, JSON.stringify({ id: '1', params: { version } }));
  }

  progress(step, desc = '') {
    return this.say(`/ota/device/progress/${this.name}`, JSON.stringify({ id: '2', params: { step: String(step), desc } }));
  }

  notice(count = 1) {
    return until(`notice ${count}`, () => this.notices[count - 1]);
  }

  end() {
    return this.client.endAsync(true);
  }
}

/** A browser whose pages may complain of nothing and ask nobody but the platform. */
export class Browser {
  static async start(url) {
    const browser = new Browser();
    browser.url = url;
    browser.chromium = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    browser.wrong = [];
    return browser;
  }

  async context(options = {}) {
    const context = await this.chromium.newContext({ baseURL: this.url, locale: 'en-US', viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    context.on('request', (request) => {
      const address = new URL(request.url());
      if (address.protocol.startsWith('http') && address.origin !== this.url) this.wrong.push(`asks ${address}`);
    });
    context.on('console', (message) => {
      // An answer that says no is a line of the browser's own.
      if (message.type() !== 'error' || message.text().startsWith('Failed to load resource')) return;
      this.wrong.push(message.text());
    });
    context.on('weberror', (error) => this.wrong.push(String(error.error())));
    return context;
  }

  /** A page that is signed in. */
  async page(token, options) {
    return (await this.signedIn(token, options)).newPage();
  }

  signedIn(token, options = {}) {
    const localStorage = [{ name: 'otaru-token', value: token }];
    return this.context({ storageState: { cookies: [], origins: [{ origin: this.url, localStorage }] }, ...options });
  }

  /** With E2E_SHOTS, a folder, what the pages showed at the end is kept there. */
  async stop() {
    const pages = this.chromium.contexts().flatMap((context) => context.pages());
    for (const [at, page] of pages.entries()) {
      if (process.env.E2E_SHOTS) await page.screenshot({ path: join(process.env.E2E_SHOTS, `end-${at}.png`), fullPage: true });
    }
    await this.chromium.close();
    assert.deepEqual(this.wrong, []);
  }
}
