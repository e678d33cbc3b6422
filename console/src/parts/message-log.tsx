import { Button, Card, Tag } from 'antd';
import { useEffect, useState } from 'react';

import { fetchAs } from '../api/client';
import { follow } from '../api/sse';
import type { Message } from '../api/types';
import { useText } from '../texts';
import { Time } from './bits';
import { bytes } from './numbers';

const SHOWN = 200;
const PAUSE_MS = 2_000;

/** What goes up and down of a device, while somebody looks. */
export function MessageLog({ path }: { path: { productKey: string; deviceName: string } }) {
  const { t } = useText();
  const [watching, setWatching] = useState(false);
  return (
    <Card
      title={t('messageLog')}
      extra={<Button onClick={() => setWatching(!watching)}>{t(watching ? 'messageLog.stop' : 'messageLog.start')}</Button>}
    >
      {watching ? <Messages {...path} /> : <p>{t('messageLog.detail')}</p>}
    </Card>
  );
}

function Messages({ productKey, deviceName }: { productKey: string; deviceName: string }) {
  const { t } = useText();
  const [messages, setMessages] = useState<Message[]>([]);
  useEffect(() => {
    const ending = new AbortController();
    const take = (message: Message) => setMessages((before) => [message, ...before].slice(0, SHOWN));
    void watch(productKey, deviceName, take, ending.signal);
    return () => ending.abort();
  }, [productKey, deviceName]);
  if (messages.length === 0) return <p>{t('messageLog.waiting')}</p>;
  return (
    <div className="log stack" role="log" aria-label={t('messageLog')} tabIndex={0}>
      {messages.map((message) => (
        <div key={message.number}>
          <div className="row">
            <Tag className={message.way === 'up' ? 'busy' : 'good'}>{t(`way.${message.way}`)}</Tag>
            <Time at={message.at} />
            <span className="code">{message.topic}</span>
            <span>{bytes(message.length)}</span>
            {message.kind === 'frame' && <Tag className={message.crcOk === false ? 'bad' : ''}>{t(frame(message))}</Tag>}
          </div>
          <div className="code">{payload(message)}</div>
        </div>
      ))}
    </div>
  );
}

const frame = ({ crcOk }: Message) => (crcOk == null ? 'frame' : crcOk ? 'frame.crcRight' : 'frame.crcWrong');

function payload(message: Message): string {
  const text = message.kind === 'text' ? String(message.payload) : JSON.stringify(message.payload);
  return message.cut ? `${text}…` : text;
}

async function watch(productKey: string, deviceName: string, take: (message: Message) => void, signal: AbortSignal) {
  const address = `/api/v1/products/${encodeURIComponent(productKey)}/devices/${encodeURIComponent(deviceName)}/messages/stream`;
  let last: string | null = null;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = last ? { 'Last-Event-ID': last } : {};
      const response = await fetchAs(new Request(address, { headers, signal }));
      if (response.ok) {
        await follow(response, ({ data, id }) => {
          if (id) last = id;
          if (data) take(JSON.parse(data) as Message);
        });
      }
    } catch {
      // The connection is made again below.
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
