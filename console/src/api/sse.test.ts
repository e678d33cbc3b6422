import { expect, test } from 'vitest';

import { SseReader } from './sse';

const STREAM = ': watching\n\nid: 7\ndata: {"a":1}\n\nid: 9\n: still here\n\ndata: one\r\ndata: two\r\n\r\n';
const SENT = [
  { data: '{"a":1}', id: '7' },
  { data: null, id: '9' },
  { data: 'one\ntwo', id: null },
];

test('events are read the same however the stream is cut', () => {
  for (let length = 1; length <= STREAM.length; length++) {
    const reader = new SseReader();
    const pieces = STREAM.match(new RegExp(`[^]{1,${length}}`, 'g'))!;
    expect(pieces.flatMap((piece) => reader.read(piece))).toEqual(SENT);
  }
});
