import { Feed, type FromFeed, type ToFeed } from './feed';

// One worker for all tabs of a browser, so that they share one connection.
const pages = new Set<MessagePort>();
const tell = (message: FromFeed) => pages.forEach((page) => page.postMessage(message));
const feed = new Feed(tell);

(self as unknown as SharedWorkerGlobalScope).onconnect = ({ ports }) => {
  const page = ports[0]!;
  page.onmessage = ({ data }: MessageEvent<ToFeed>) => {
    if (data.kind === 'token') {
      pages.add(page);
      return feed.use(data.token);
    }
    pages.delete(page);
    if (pages.size === 0) feed.stop();
  };
};
