import type { Job } from '../api/types';

type Paced = Pick<Job, 'state' | 'hold' | 'counts' | 'createdAt' | 'terms' | 'progress'>;

/** Of what has not ended, too little to go by: the last ones are often those that have gone silent. */
const TAIL = 0.05;

const goesOn = ({ state, hold }: Paced) => state === 'IN_PROGRESS' && !hold;

/** Seconds until a job is over if it goes on as it went so far; null if that says nothing, as before its last wave. */
export function secondsLeft(job: Paced, now: number): number | null {
  const { succeeded, failed, canceled, confirm, queued, notified, inProgress } = job.counts;
  const ended = succeeded + failed + canceled;
  const { retrying, lost } = troubled(job);
  const left = confirm + queued + notified + inProgress - retrying - lost;
  const hasWaves = !!job.progress && job.progress.wave < job.progress.waves.length;
  if (!goesOn(job) || hasWaves || ended === 0 || left < TAIL * (ended + left)) return null;
  const begun = Date.parse(job.progress?.openedAt ?? job.terms.startAt ?? job.createdAt);
  return Math.max(0, Math.round(((now - begun) / 1_000) * (left / ended)));
}

/** When the next wave opens, if the open one has had enough successes: it rests as long as was settled. */
export function nextWaveAt(job: Paced): number | null {
  const { progress, terms } = job;
  if (!goesOn(job) || !progress?.enoughAt || progress.wave >= progress.waves.length) return null;
  return Date.parse(progress.enoughAt) + 60_000 * (terms.soakMinutes ?? 0);
}

/** Devices that have not ended and of which an attempt has failed, or nothing is heard. */
export function troubled({ progress }: Pick<Job, 'progress'>): { retrying: number; lost: number } {
  const waves = progress?.waves ?? [];
  return { retrying: waves.reduce((sum, wave) => sum + wave.retrying, 0), lost: waves.reduce((sum, wave) => sum + wave.lost, 0) };
}
