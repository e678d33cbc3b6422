import { expect, test } from 'vitest';

import type { Package } from '../api/types';
import type { Text } from '../texts';
import { en } from '../texts/en';
import { draftFor, fitting, isScopeWhole, kindsOf, orderOf, summary, wavesOf, whyNotMqtt } from './draft';

const text: Text = {
  language: 'en',
  t: (key, values = {}) => en[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name])),
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
  ] as const) {
    expect(told(part), sentence).toContain(sentence);
    if (sentence !== 'Enough is 90 % of a wave.') expect(told({})).not.toContain(sentence);
  }
});
