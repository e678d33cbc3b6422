import { expect, test } from 'vitest';

import type { Package } from '../api/types';
import type { Text } from '../texts';
import { en } from '../texts/en';
import { fill, writingOf } from '../texts/fill';
import { areWavesRight, draftFor, fitting, isScopeWhole, isUnbraked, kindsOf, orderOf, summary, wavesOf, whyNotMqtt } from './draft';

const text: Text = {
  language: 'en',
  t: (key, values) => fill(writingOf('en'), en[key], values),
  code: (_, code) => code,
  n: String,
};

const of = { id: 'pkg_1', state: 'VERIFIED', version: '2.0.0', module: 'default' } as Package;

test('an unproven package is first verified on named devices', () => {
  const draft = draftFor({ ...of, state: 'UNVERIFIED' });
  expect([draft.kind, draft.scope, isScopeWhole(draft, of)]).toEqual(['VERIFY', 'named', false]);
  expect(draftFor(of).kind).toBe('STATIC');
});

test('waves are read as they are typed', () => {
  expect(wavesOf('')).toEqual([]);
  expect(wavesOf('group：canary, 1.5％，500、100 %')).toEqual([
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

test('what goes with something that is not said is not said either', () => {
  const draft = { ...draftFor(of), minOffers: 3, maxWaitMinutes: 9, endRunning: true, rollbackFails: false, tags: ['ring=beta'], lostAfterMinutes: 0 };
  const terms = (part: object) => orderOf({ ...draft, ...part }, 'pkg_1').terms!;
  const { minOffers, maxWaitMinutes, endRunning, rollbackFails, tags, lostAfterMinutes } = terms({});
  expect([minOffers, maxWaitMinutes, endRunning]).toEqual([undefined, undefined, undefined]);
  expect({ rollbackFails, tags, lostAfterMinutes }).toEqual({ rollbackFails: false, tags: [{ key: 'ring', value: 'beta' }], lostAfterMinutes: 0 });
  expect(terms({ maxFailurePercent: 5 }).minOffers).toBe(3);
  expect(terms({ waves: '1, 100%' }).maxWaitMinutes).toBe(9);
  expect(terms({ endAt: '2099-01-01T00:00' }).endRunning).toBe(true);
  expect(orderOf(draftFor(of), 'pkg_1').terms!.rollbackFails).toBeUndefined();
});

test('a job that nothing stops by itself is known, and so are waves that cannot be read', () => {
  const is = (part: object) => isUnbraked({ ...draftFor(of), ...part });
  expect([is({}), is({ kind: 'DYNAMIC', waves: '1, 100%' })]).toEqual([true, true]);
  expect([is({ waves: '1, 100%' }), is({ maxFailures: 0 }), is({ maxFailurePercent: 0 }), is({ kind: 'VERIFY' })]).toEqual([false, false, false, false]);
  const right = (part: object) => areWavesRight({ ...draftFor(of), ...part });
  expect([right({}), right({ waves: 'ten' }), right({ waves: 'ten', kind: 'DYNAMIC' })]).toEqual([true, false, true]);
});

test('a package that cannot travel over MQTT travels over HTTP', () => {
  const most = 16 * 1024 * 1024;
  const cases = [
    [{ size: most }, null],
    [{ size: most + 1 }, 'files.tooLarge'],
    [{ size: 1, signMethod: 'sha256' }, 'files.sha256'],
    [{ size: 2, files: [{}, {}] }, 'files.several'],
  ] as const;
  for (const [part, why] of cases) {
    const such = { ...of, signMethod: 'md5', ...part } as Package;
    expect(whyNotMqtt(such)).toBe(why);
    expect(draftFor(such).protocol).toBe(why ? 'http' : 'mqtt');
    expect(fitting({ ...draftFor(such), protocol: 'mqtt' }, such).protocol).toBe(why ? 'http' : 'mqtt');
  }
});

test('only what the package is ready for is offered, whatever was kept', () => {
  const kinds = (state: Package['state']) => kindsOf({ ...of, state });
  expect(kinds('UNVERIFIED')).toEqual(['VERIFY']);
  expect(kinds('FAILED')).toEqual(['VERIFY']);
  expect(kinds('VERIFYING')).toEqual([]);
  expect(kinds('VERIFIED')).toEqual(['STATIC', 'DYNAMIC']);
  expect(kinds('NOT_REQUIRED')).toEqual(['STATIC', 'DYNAMIC']);
  const kept = { ...draftFor({ ...of, state: 'UNVERIFIED' }), names: ['lamp-1'] };
  expect(fitting(kept, of)).toMatchObject({ kind: 'STATIC', scope: 'all', names: ['lamp-1'] });
  expect(fitting({ ...kept, kind: 'DYNAMIC', scope: 'group' }, of)).toMatchObject({ kind: 'DYNAMIC', scope: 'group' });
});

test('a dynamic job for all says from which versions, but for a difference', () => {
  const all = { ...draftFor(of), kind: 'DYNAMIC' as const };
  expect(isScopeWhole(all, of)).toBe(false);
  expect(isScopeWhole({ ...all, srcVersions: ['1.0.0'] }, of)).toBe(true);
  expect(isScopeWhole(all, { ...of, srcVersion: '1.0.0' })).toBe(true);
  expect(isScopeWhole({ ...all, scope: 'group', group: 'canary' }, of)).toBe(true);
});

test('the summary tells each term that is not as usual, and no number that is not known', () => {
  const told = (part: object, matched: number | null = 7) => summary(text, { ...draftFor(of), ...part }, of, matched).join('\n');
  expect(told({})).toContain('Devices: 7.');
  expect(told({}, null)).toContain('Devices: ….');
  expect(told({})).toContain('over MQTT');
  for (const [part, sentence] of [
    [{ waves: '10%, 100%', minSuccessPercent: 75 }, 'Enough is 75 % of a wave.'],
    [{ waves: '10%, 100%' }, 'Enough is 90 % of a wave.'],
    [{ kind: 'DYNAMIC', onlyNew: true }, 'versions that devices report from now on'],
    [{ maxMbitPerSecond: 8 }, '8 Mbit/s'],
    [{ protocol: 'http' }, 'over HTTP'],
    [{ startTimeoutMinutes: 12 }, 'no progress within 12 minutes'],
    [{ startTimeoutMinutes: 0 }, 'any time to begin'],
    [{ retryIntervalMinutes: 9 }, 'pass 9 minutes'],
    [{ multiModule: true }, 'tasks for other modules'],
    [{ lostAfterMinutes: 5 }, 'silent for 5 minutes counts as failed'],
    [{ lostAfterMinutes: 0 }, 'silent for any time'],
    [{ waves: '1, 100%', maxWaitMinutes: 1 }, 'not told within 1 minute are'],
    [{ waves: '1, 100%', maxWaitMinutes: 0 }, 'however long that takes'],
    [{ maxFailurePercent: 5, minOffers: 20 }, 'more than 5 % of the devices told have failed, once 20 were told'],
    [{ endAt: '2099-01-01T12:00', endRunning: true }, 'also what has begun'],
    [{ rollbackFails: false }, 'goes back to its old version has not failed'],
    [{ tags: ['ring=beta'] }, 'told these tags: ring=beta'],
    [{ attempts: 1 }, 'has 1 attempt in all'],
  ] as const) {
    expect(told(part), sentence).toContain(sentence);
    if (sentence !== 'Enough is 90 % of a wave.') expect(told({})).not.toContain(sentence);
  }
});
