import { expect, test } from 'vitest';

import { helpOf, means, metricsOf, rates, samplesOf, sum } from './metrics';

const TEXT = `# HELP otaru_refusals_total What the devices' door refused.
# TYPE otaru_refusals_total counter
otaru_refusals_total{reason="bad_password"} 3
otaru_refusals_total{reason="a \\"quoted\\" one"} 4
otaru_commit_duration_seconds_bucket{le="+Inf"} 2
otaru_sessions 12
`;

test('metrics are read with their labels', () => {
  const metrics = metricsOf(TEXT);
  expect(metrics[1]).toEqual({ name: 'otaru_refusals_total', labels: { reason: 'a "quoted" one' }, value: 4 });
  expect(sum({ at: 0, metrics }, 'otaru_refusals_total')).toBe(7);
  expect(sum({ at: 0, metrics }, 'otaru_sessions')).toBe(12);
  expect(helpOf(TEXT)).toEqual({ otaru_refusals_total: "What the devices' door refused." });
});

test('a platform that was restarted counts from nothing, and what took nothing has the mean it had', () => {
  const sample = (at: number, count: number, total: number) => ({ at, metrics: metricsOf(`d_count ${count}\nd_sum ${total}\n`) });
  const samples = [sample(0, 0, 0), sample(2_000, 4, 8), sample(4_000, 4, 8), sample(5_000, 1, 3)];
  expect(rates(samples, 'd_count')).toEqual([2, 0, 0]);
  expect(means(samples, 'd')).toEqual([2, 2, 2]);
});

test('what was measured before is read as what is measured now', () => {
  const points = [{ at: '1970-01-01T00:00:00.000Z', values: [1, 10] }, { at: '1970-01-01T00:00:15.000Z', values: [2, 40] }];
  const samples = samplesOf({ names: ['otaru_sessions', 'd_total'], points });
  expect(samples.map((sample) => sum(sample, 'otaru_sessions'))).toEqual([1, 2]);
  expect(rates(samples, 'd_total')).toEqual([2]);
});
