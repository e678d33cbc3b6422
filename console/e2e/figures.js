// What the pages cost with a fleet that is there already; prints JSON. `benches/run.sh --only console` runs it.
// OTARU_DATA, OTARU_URL, DEVICES (its port), OTARU_PID, PRODUCT, JOB, PACKAGE, DEVICE, REPORTERS (names with commas),
// LIVE_PAGES and LIVE_SECONDS say what is there.
import { readFileSync } from 'node:fs';

import { Browser, Platform } from './harness.js';
import { open } from './pages.js';

const { OTARU_DATA, OTARU_URL, OTARU_PID, PRODUCT, JOB, PACKAGE, DEVICE } = process.env;
const reporters = process.env.REPORTERS.split(',');
const [port, livePages, liveSeconds] = [process.env.DEVICES, process.env.LIVE_PAGES, process.env.LIVE_SECONDS].map(Number);
/** Versions that are reported a second, each an event. */
const EVENTS = 200;
const platform = Object.assign(new Platform(), { data: OTARU_DATA, url: OTARU_URL, devices: port });
const { token } = platform;
const browser = await Browser.start(OTARU_URL);

const paths = {
  overview: '/',
  devices: `/products/${PRODUCT}/devices`,
  packages: `/products/${PRODUCT}/packages`,
  groups: `/products/${PRODUCT}/groups`,
  analysis: `/products/${PRODUCT}/analysis`,
  device: `/products/${PRODUCT}/devices/${DEVICE}`,
  'new job': `/packages/${PACKAGE}/new-job`,
  jobs: '/jobs',
  job: `/jobs/${JOB}`,
  events: '/events',
  health: '/health',
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const isApi = (request) => /^.api.v1.(?!events.stream)/.test(new URL(request.url()).pathname);

/** Bytes as they came over the network, and milliseconds until the page shows what it was asked for. */
async function firstLoad() {
  const page = await browser.page(token);
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  let bytes = 0;
  network.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  const start = Date.now();
  await open(page, paths.overview);
  const shown = Date.now() - start;
  await page.context().close();
  return { bytes, shown };
}

/** The slowest request, and the longest frame while everything is scrolled, in milliseconds. */
async function visit(page, path) {
  const requests = [];
  const finished = (request) => isApi(request) && requests.push([request.timing().responseEnd, new URL(request.url())]);
  page.on('requestfinished', finished);
  await open(page, path);
  const room = await page.viewportSize();
  await page.mouse.move(room.width / 2, room.height * 0.7);
  await page.evaluate(() => {
    window.frames_ = [];
    let last;
    const frame = (now) => {
      if (last !== undefined) window.frames_.push(now - last);
      last = now;
      window.frame_ = requestAnimationFrame(frame);
    };
    window.frame_ = requestAnimationFrame(frame);
  });
  for (let turn = 0; turn < 60; turn++) {
    await page.mouse.wheel(0, turn < 40 ? 400 : -600);
    await sleep(25);
  }
  const frames = await page.evaluate(() => (cancelAnimationFrame(window.frame_), window.frames_));
  page.off('requestfinished', finished);
  const [slowest, address] = requests.toSorted((a, b) => b[0] - a[0])[0] ?? [0, null];
  return { slowest, request: address?.pathname.replace('/api/v1', '') ?? '', frame: Math.max(...frames), frames: frames.length };
}

/** Reports other versions again and again, so many a second, until it is told to stop. */
function report(devices) {
  const start = Date.now();
  let [sent, running] = [0, true];
  const done = (async () => {
    while (running) {
      const acknowledged = [];
      for (const due = ((Date.now() - start) / 1000) * EVENTS; sent < due; sent++) {
        const device = devices[sent % devices.length];
        acknowledged.push(device.version(`1.0.${Math.floor(sent / devices.length) % 2}`));
      }
      await Promise.all(acknowledged);
      await sleep(20);
    }
  })();
  return async () => ((running = false), await done, sent);
}

/** Seconds of processor time of the platform. */
function cpu() {
  const stat = readFileSync(`/proc/${OTARU_PID}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function cpuOf(work) {
  const [before, start] = [cpu(), Date.now()];
  await work();
  return (cpu() - before) / ((Date.now() - start) / 1000);
}

/** What a page asks for while things happen: each request with its moment. */
async function recorded(path) {
  const page = await browser.page(token);
  await open(page, path);
  const [start, asked] = [Date.now(), []];
  page.on('request', (request) => isApi(request) && asked.push([Date.now() - start, request.url()]));
  await sleep(liveSeconds * 1000);
  await page.context().close();
  return asked;
}

/** Follows events and asks for the same, as so many pages of other browsers would. */
async function follow(asked) {
  const headers = { Authorization: `Bearer ${token}` };
  const ended = new AbortController();
  const streams = Array.from({ length: livePages }, async () => {
    const { body } = await fetch(`${OTARU_URL}/api/v1/events/stream`, { headers, signal: ended.signal });
    for await (const chunk of body) void chunk;
  });
  const pages = Array.from({ length: livePages }, async (_, page) => {
    const length = liveSeconds * 1000;
    const shifted = asked.map(([at, url]) => [(at + (page * length) / livePages) % length, url]).toSorted((a, b) => a[0] - b[0]);
    const start = Date.now();
    for (const [at, url] of shifted) {
      await sleep(Math.max(0, start + at - Date.now()));
      await (await fetch(url, { headers })).arrayBuffer();
    }
    await sleep(Math.max(0, start + length - Date.now()));
  });
  const busy = await cpuOf(() => Promise.all(pages));
  ended.abort();
  await Promise.allSettled(streams);
  return busy;
}

async function live(name) {
  const asked = await recorded(paths[name]);
  const alone = await cpuOf(() => sleep(liveSeconds * 1000));
  return { name, asked: asked.length, alone, all: await follow(asked) };
}

const loads = [];
for (let round = 0; round < 5; round++) loads.push(await firstLoad());
const page = await browser.page(token);
const visits = {};
for (const [name, path] of Object.entries(paths)) {
  const [first, second] = [await visit(page, path), await visit(page, path)];
  // What was found at the first visit may serve at the second.
  visits[name] = first.slowest > second.slowest ? { ...second, slowest: first.slowest, request: first.request } : second;
}
await page.context().close();
const devices = await Promise.all(reporters.map((name) => platform.device(PRODUCT, name)));
const stop = report(devices);
const lives = [await live('health'), await live('job'), await live('overview'), await live('devices')];
const events = await stop();
await Promise.all(devices.map((device) => device.end()));
await browser.stop();
console.log(JSON.stringify({
  bytes: median(loads.map(({ bytes }) => bytes)), shown: median(loads.map(({ shown }) => shown)), visits, lives, events,
}));
