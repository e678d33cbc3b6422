import createClient, { type Middleware } from 'openapi-fetch';

import type { paths } from './schema';
import { refuse, session } from './session';
import { Store } from './store';
import type { Problem } from './types';

/** The platform refused something, in its own words. */
export class Refusal extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** Whether the platform answers. */
export const reachable = new Store(true);

/** `fetch` as the signed-in operator; keeps `reachable` and the session true. */
export async function fetchAs(request: Request): Promise<Response> {
  const { token } = session.get();
  if (token) request.headers.set('Authorization', `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (!request.signal.aborted) reachable.set(false);
    throw error;
  }
  reachable.set(!(await isOfNobody(response)));
  if (response.status === 401 && token) refuse(token);
  return response;
}

/** Whether not the platform answered, or one that is not up yet. What it itself is too busy for is an answer like others. */
async function isOfNobody(response: Response): Promise<boolean> {
  if (response.status !== 503) return response.status === 502;
  const { problem } = await refusalOf(response.clone());
  return ['unknown', 'notUp'].includes(problem.code);
}

/** A repeated order is carried out once, also when its first answer was lost. A dry run is none. */
const idempotent: Middleware = {
  onRequest({ request, schemaPath }) {
    if (request.method === 'POST' && schemaPath !== '/api/v1/jobs/dry-run' && !request.headers.has('Idempotency-Key')) {
      request.headers.set('Idempotency-Key', randomKey());
    }
    return request;
  },
};

export const api = createClient<paths>({ fetch: fetchAs });
api.use(idempotent);

/** What an answer holds, or the refusal thrown. */
export async function ask<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw new Refusal(asProblem(error, response));
  return data as T;
}

/** What was left empty is not given. */
export function given<T extends object>(wanted: T): T {
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined && value !== '')) as T;
}

/** What a response that is no good says. */
export const refusalOf = async (response: Response) => new Refusal(asProblem(await response.json().catch(() => null), response));

/** Answers of proxies are no problem details. */
export function asProblem(body: unknown, response: Response): Problem {
  if (typeof body === 'object' && body !== null && 'code' in body) return body as Problem;
  const detail = `${response.status} ${response.statusText}`;
  return { title: detail, status: response.status, detail, code: 'unknown' };
}

/** `crypto.randomUUID` is missing where the page came over plain HTTP from another machine. */
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The parts of a request whose body is a table. */
export const csvBody = (lines: string) => ({
  headers: { 'Content-Type': 'text/csv' },
  bodySerializer: (text: unknown) => text as string,
  body: lines as never,
});
