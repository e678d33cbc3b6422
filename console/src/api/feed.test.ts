import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Feed, type FromFeed } from './feed';

interface Connection {
  last: string | undefined;
  say: (text: string) => void;
  end: () => void;
}

let connections: Connection[];
let told: FromFeed[];

beforeEach(() => {
  vi.useFakeTimers();
  connections = [];
  told = [];
  vi.stubGlobal('fetch', async (_: string, { headers, signal }: { headers: Record<string, string>; signal: AbortSignal }) => {
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) });
    signal.addEventListener('abort', () => controller.error(signal.reason));
    connections.push({
      last: headers['Last-Event-ID'],
      say: (text) => controller.enqueue(new TextEncoder().encode(text)),
      end: () => controller.close(),
    });
    return new Response(body);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('events that come together are told together, and a lost connection goes on where it was', async () => {
  const feed = new Feed((message) => told.push(message));
  feed.use('token');
  await pass(0);
  connections[0]!.say('id: 7\ndata: {"seq":7}\n\nid: 8\ndata: {"seq":8}\n\n');
  await pass(300);
  expect(told).toEqual([{ kind: 'events', events: [{ seq: 7 }, { seq: 8 }] }]);
  connections[0]!.say('id: 9\n: still here\n\n');
  await pass(0);
  connections[0]!.end();
  await pass(2_100);
  expect(connections.map(({ last }) => last)).toEqual([undefined, '9']);
  expect(told.slice(1)).toEqual([{ kind: 'lost' }]);
  feed.stop();
});

test('a connection without a sign of life is made anew', async () => {
  const feed = new Feed((message) => told.push(message));
  feed.use('token');
  await pass(40_000);
  connections[0]!.say('id: 9\n: still here\n\n');
  await pass(40_000);
  expect(connections).toHaveLength(1);
  await pass(10_000);
  expect(connections).toHaveLength(2);
  feed.stop();
  await pass(60_000);
  expect(connections).toHaveLength(2);
});
