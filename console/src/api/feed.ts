import { follow } from './sse';
import type { Event } from './types';

/** What a page tells whoever holds the connection, and hears from it. */
export type ToFeed = { kind: 'token'; token: string } | { kind: 'bye' };
export type FromFeed = { kind: 'events'; events: Event[] } | { kind: 'missed' } | { kind: 'lost' };

const PAUSE_MS = 2_000;
/** The platform gives a sign of life every 15 seconds; without any for so long the connection is made anew. */
const SILENCE_MS = 45_000;
/** Events that come together are told together. */
const GATHER_MS = 200;

/** The one connection for events of a browser: goes on where it was for as long as it lives. */
export class Feed {
  #token: string | null = null;
  #last: string | null = null;
  #gathered: Event[] = [];
  #connection: AbortController | null = null;

  constructor(readonly tell: (message: FromFeed) => void) {}

  /** Begins, or begins anew for another token. */
  use(token: string): void {
    if (token === this.#token) return;
    this.#token = token;
    this.#connection?.abort();
    this.#connection = new AbortController();
    void this.#run(token, this.#connection.signal);
  }

  stop(): void {
    this.#connection?.abort();
    this.#token = null;
  }

  async #run(token: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#connect(token, signal);
      } catch {
        // The platform is away; it is asked again.
      }
      if (!signal.aborted) this.tell({ kind: 'lost' });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #connect(token: string, signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { Authorization: `Bearer ${token}` };
    if (this.#last) headers['Last-Event-ID'] = this.#last;
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    try {
      await this.#read(headers, AbortSignal.any([signal, silence.signal]), alive);
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(headers: Record<string, string>, signal: AbortSignal, alive: () => void): Promise<void> {
    const response = await fetch('/api/v1/events/stream', { headers, signal });
    if (response.status === 410) {
      this.#last = null;
      this.tell({ kind: 'missed' });
    }
    if (response.status === 401) this.stop();
    if (!response.ok) return;
    await follow(response, ({ data, id }) => {
      alive();
      if (id) this.#last = id;
      if (data) this.#gather(JSON.parse(data) as Event);
    });
  }

  #gather(event: Event): void {
    if (this.#gathered.push(event) > 1) return;
    setTimeout(() => {
      this.tell({ kind: 'events', events: this.#gathered });
      this.#gathered = [];
    }, GATHER_MS);
  }
}
