/** One server-sent event: its data, and the last id that was told. */
export interface Sent {
  data: string | null;
  id: string | null;
}

/** Reads server-sent events as they come, in pieces cut anywhere. Ids of comments count too. */
export class SseReader {
  #rest = '';
  #data: string[] = [];
  #id: string | null = null;

  read(piece: string): Sent[] {
    const lines = (this.#rest + piece).split(/\r\n|\n/);
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): Sent[] {
    if (line === '') return this.#end();
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    if (name === 'id') this.#id = value;
    return [];
  }

  #end(): Sent[] {
    const sent = { data: this.#data.length ? this.#data.join('\n') : null, id: this.#id };
    this.#data = [];
    this.#id = null;
    return sent.data === null && sent.id === null ? [] : [sent];
  }
}

/** Follows a stream of events until it ends; connects once. */
export async function follow(response: Response, take: (sent: Sent) => void): Promise<void> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new SseReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.read(value).forEach(take);
  }
}
