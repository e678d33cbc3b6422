import { expect, test } from 'vitest';

import type { Package } from '../api/types';
import { draftFor, isScopeWhole, orderOf, wavesOf } from './draft';

const of = { id: 'pkg_1', state: 'VERIFIED', version: '2.0.0', module: 'default' } as Package;

test('an unproven package is first verified on named devices', () => {
  const draft = draftFor({ ...of, state: 'UNVERIFIED' });
  expect([draft.kind, draft.scope, isScopeWhole(draft)]).toEqual(['VERIFY', 'named', false]);
  expect(draftFor(of).kind).toBe('STATIC');
});

test('waves are read as they are typed', () => {
  expect(wavesOf('')).toEqual([]);
  expect(wavesOf('group:canary, 1.5%，500\n100 %')).toEqual([
    { kind: 'group', group: 'canary' },
    { kind: 'percent', percent: 1.5 },
    { kind: 'count', n: 500 },
    { kind: 'percent', percent: 100 },
  ]);
  for (const wrong of ['ten', '10%%', '-5', '1.5', 'group:', '1e3']) expect(wavesOf(wrong), wrong).toBeNull();
});

test('an order says only what goes with it', () => {
  const draft = { ...draftFor(of), waves: '10%, 100%', soakMinutes: 5, onlyNew: true, ratePerMinute: 60, attempts: 1, retryIntervalMinutes: 9 };
  const fixed = orderOf(draft, 'pkg_1');
  expect(fixed.terms).toMatchObject({ soakMinutes: 5, attempts: 1, waves: [{ percent: 10 }, { percent: 100 }] });
  expect(fixed.terms!.retryIntervalMinutes).toBeUndefined();
  expect(fixed.terms!.onlyNew).toBeUndefined();
  const dynamic = orderOf({ ...draft, kind: 'DYNAMIC', needPush: false }, 'pkg_1');
  expect(dynamic.terms!.waves).toBeUndefined();
  expect(dynamic.terms!.soakMinutes).toBeUndefined();
  expect(dynamic.terms!.onlyNew).toBe(true);
  expect(dynamic.ratePerMinute).toBeUndefined();
});
