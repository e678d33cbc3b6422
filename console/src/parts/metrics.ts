import type { MeasuredPast } from '../api/types';

/** One number of `/metrics`. */
export interface Metric {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** What the platform measured at a moment, in milliseconds. */
export interface Sample {
  at: number;
  metrics: Metric[];
}

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads the text format of Prometheus as far as the platform writes it. */
export function metricsOf(text: string): Metric[] {
  return text.split('\n').flatMap((line) => {
    const [, name, labels = '', value] = LINE.exec(line) ?? [];
    if (!name) return [];
    const pairs = [...labels.matchAll(LABEL)].map(([, key, text]) => [key!, text!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))]);
    return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
  });
}

/** What the platform itself says of its numbers, by name. */
export function helpOf(text: string): Record<string, string> {
  const told = [...text.matchAll(/^# HELP ([A-Za-z_:][\w:]*) (.*)$/gm)];
  return Object.fromEntries(told.map(([, name, help]) => [name!, help!]));
}

/** What was measured of late, in the form of what is measured now. */
export function samplesOf({ names, points }: MeasuredPast): Sample[] {
  return points.map(({ at, values }) => ({
    at: Date.parse(at),
    metrics: names.map((name, place) => ({ name, labels: {}, value: values[place]! })),
  }));
}

/** A number, all its labels together; 0 if the platform does not tell it. */
export const sum = ({ metrics }: Sample, name: string) =>
  metrics.reduce((all, metric) => (metric.name === name ? all + metric.value : all), 0);

/** How much a number grew from each sample to the next; a restart of the platform begins at nothing. */
export function growth(samples: readonly Sample[], name: string): number[] {
  return samples.slice(1).map((sample, at) => Math.max(0, sum(sample, name) - sum(samples[at]!, name)));
}

/** How fast a number grew from each sample to the next, in so many a second. */
export function rates(samples: readonly Sample[], name: string): number[] {
  return growth(samples, name).map((grown, at) => grown / Math.max((samples[at + 1]!.at - samples[at]!.at) / 1_000, 0.001));
}

/** The mean of what a histogram took between each sample and the next; where it took nothing, as before. */
export function means(samples: readonly Sample[], name: string): number[] {
  const counts = growth(samples, `${name}_count`);
  let last = 0;
  return growth(samples, `${name}_sum`).map((grown, at) => (last = counts[at]! > 0 ? grown / counts[at]! : last));
}
