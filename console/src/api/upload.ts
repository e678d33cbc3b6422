import { asProblem, fetchAs, Refusal } from './client';
import type { Upload } from './types';

/** Bytes of one request: small enough that little is lost with a connection. */
const PIECE = 4 * 1024 * 1024;
const PAUSE_MS = 2_000;

/** The file is no longer what was chosen, so the browser does not read it any more. */
export class FileChanged extends Error {
  constructor(readonly fileName: string) {
    super(`${fileName} has changed since it was chosen`);
  }
}

const KEY = 'otaru-upload:';

/** A file is taken for the same by what the browser says of it. */
const keyOf = (file: File) => `${KEY}${file.name}:${file.size}:${file.lastModified}`;

/**
 * Brings a file to the platform in pieces and returns the upload's id. What has arrived stays: after a lost
 * connection, and when the same file is chosen again later, it goes on from there.
 */
export async function upload(file: File, progress: (bytes: number) => void, signal: AbortSignal): Promise<string> {
  let now = (await begun(file)) ?? (await begin(file));
  while (now.offset < file.size) {
    signal.throwIfAborted();
    progress(now.offset);
    now = await next(file, now, signal);
  }
  progress(file.size);
  return now.id;
}

/** The package is made: the file is no longer waited for. */
export function forget(file: File): void {
  localStorage.removeItem(keyOf(file));
}

async function begun(file: File): Promise<Upload | null> {
  const id = localStorage.getItem(keyOf(file));
  return id ? read(id).catch(() => null) : null;
}

async function begin(file: File): Promise<Upload> {
  const upload = await send('/api/v1/uploads', 'POST', JSON.stringify({ size: file.size }), {
    'Content-Type': 'application/json',
  });
  localStorage.setItem(keyOf(file), upload.id);
  return upload;
}

/** Sends a piece. If that breaks off, what the platform has is where it goes on. */
async function next(file: File, now: Upload, signal: AbortSignal): Promise<Upload> {
  const piece = await file
    .slice(now.offset, now.offset + PIECE)
    .arrayBuffer()
    .catch(() => {
      throw new FileChanged(file.name);
    });
  const headers = { 'Content-Type': 'application/octet-stream', 'Upload-Offset': String(now.offset) };
  try {
    return await send(`/api/v1/uploads/${now.id}`, 'PATCH', piece, headers, signal);
  } catch (error) {
    if (signal.aborted || (error instanceof Refusal && !isPassing(error))) throw error;
  }
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    signal.throwIfAborted();
    try {
      return await read(now.id);
    } catch (error) {
      if (error instanceof Refusal && !isPassing(error)) throw error;
    }
  }
}

/** Refusals that another try may not meet. */
const isPassing = ({ problem }: Refusal) =>
  problem.status >= 500 || problem.status === 401 || problem.code === 'wrongOffset' || problem.code === 'uploadTakenOver';

const read = (id: string) => send(`/api/v1/uploads/${id}`, 'GET');

async function send(
  path: string,
  method: string,
  body?: BodyInit,
  headers?: Record<string, string>,
  signal?: AbortSignal,
): Promise<Upload> {
  const init: RequestInit = { method, body: body ?? null, headers: headers ?? {}, signal: signal ?? null };
  const response = await fetchAs(new Request(path, init));
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(asProblem(answer, response));
  return answer as Upload;
}
