import type { Job } from '../api/types';

/** Seconds until a job is over if it goes on as it went so far; null if that says nothing. */
export function secondsLeft(job: Pick<Job, 'state' | 'hold' | 'counts' | 'createdAt' | 'terms'>, now: number): number | null {
  const { succeeded, failed, canceled, confirm, queued, notified, inProgress } = job.counts;
  const ended = succeeded + failed + canceled;
  const left = confirm + queued + notified + inProgress;
  if (job.state !== 'IN_PROGRESS' || job.hold || ended === 0 || left === 0) return null;
  const begun = Date.parse(job.terms.startAt ?? job.createdAt);
  return Math.max(0, Math.round(((now - begun) / 1_000) * (left / ended)));
}
