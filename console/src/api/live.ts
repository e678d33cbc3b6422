import type { QueryClient } from '@tanstack/react-query';

import { Feed, type FromFeed, type ToFeed } from './feed';
import { suspect } from './recover';
import { session } from './session';
import { touched, waitAfter } from './touched';
import type { Event } from './types';

type Listener = (events: Event[]) => void;
const listeners = new Set<Listener>();

/** Calls for events as they come, until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Keeps what the page shows true: whatever an event touches is asked for again. */
export function followEvents(queries: QueryClient): void {
  const due = new Map<string, readonly string[]>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [came, since, rate] = [0, performance.now(), 0];
  const flush = () => {
    timer = undefined;
    rate = (1_000 * came) / (performance.now() - since);
    [came, since] = [0, performance.now()];
    if (document.hidden) return;
    const keys = [...due.values()];
    due.clear();
    for (const queryKey of keys) void queries.invalidateQueries({ queryKey });
  };
  document.addEventListener('visibilitychange', () => {
    if (due.size) timer ??= setTimeout(flush, 0);
  });
  connect((message) => {
    if (message.kind === 'lost') return void suspect();
    if (message.kind === 'missed') return void queries.invalidateQueries();
    for (const listener of listeners) listener(message.events);
    came += message.events.length;
    for (const key of message.events.flatMap(touched)) due.set(JSON.stringify(key), key);
    const isQuiet = performance.now() - since > 10_000;
    timer ??= setTimeout(flush, waitAfter(isQuiet ? 0 : rate));
  });
}

/** Over a worker that all tabs share, where there is such a thing. */
function connect(take: (message: FromFeed) => void): void {
  const send = 'SharedWorker' in window ? byWorker(take) : byPage(take);
  const tellToken = () => {
    const { token, refused } = session.get();
    if (!refused) send(token ? { kind: 'token', token } : { kind: 'bye' });
  };
  session.subscribe(tellToken);
  tellToken();
  window.addEventListener('pagehide', () => send({ kind: 'bye' }));
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) window.location.reload();
  });
}

function byWorker(take: (message: FromFeed) => void): (message: ToFeed) => void {
  const worker = new SharedWorker(new URL('./feed.worker.ts', import.meta.url), { type: 'module', name: 'otaru' });
  worker.port.onmessage = ({ data }: MessageEvent<FromFeed>) => take(data);
  return (message) => worker.port.postMessage(message);
}

function byPage(take: (message: FromFeed) => void): (message: ToFeed) => void {
  const feed = new Feed(take);
  return (message) => (message.kind === 'token' ? feed.use(message.token) : feed.stop());
}
