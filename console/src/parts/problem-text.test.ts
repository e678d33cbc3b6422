import { beforeEach, expect, test, vi } from 'vitest';

import type { Text } from '../texts';

beforeEach(() => {
  vi.stubGlobal('window', { addEventListener: () => {} });
  vi.stubGlobal('localStorage', { getItem: () => null });
  vi.stubGlobal('navigator', { language: 'en' });
});

async function told(language: 'en' | 'zh-CN', problem: object): Promise<string> {
  const { textIn } = await import('../texts');
  const { Refusal } = await import('../api/client');
  const { problemText } = await import('./problem-text');
  return problemText(textIn(language) as Text, new Refusal({ title: '', status: 422, ...problem } as never));
}

test('a refusal names fields as the page does', async () => {
  const attempts = { code: 'numberInvalid', detail: 'attempts 0 is not allowed: 1 to 10', params: { field: 'attempts', value: 0, least: 1, most: 10 } };
  expect(await told('en', attempts)).toBe('“Attempts” 0 is not allowed: 1 to 10');
  expect(await told('zh-CN', attempts)).toBe('尝试次数 的值 0 不在允许范围内：1～10。');
  const end = { code: 'termsContradict', detail: 'endRunning true says what is at endAt: give endAt too', params: { fields: ['endRunning', 'endAt'] } };
  expect(await told('en', end)).toBe('“Cancel what has begun at the end” true says what is at “Ends at”: give “Ends at” too');
  expect(await told('zh-CN', end)).toBe('结束时取消升级中的作业、结束时间 相互矛盾。');
  const zone = { code: 'timeZoneUnknown', detail: 'the timezone is unknown', params: { field: 'timezone', value: 'x' } };
  expect(await told('en', zone)).toBe('the timezone is unknown');
});

test('one code may come with other values, and what has no text is told in English', async () => {
  expect(await told('zh-CN', { code: 'deviceNotFound', detail: '', params: { deviceName: 'a' } })).toBe('产品中没有设备 “a”。');
  expect(await told('zh-CN', { code: 'deviceNotFound', detail: '', params: { missing: 2, first: ['a', 'b'] } })).toBe('2 个名称不是本产品的设备，例如 a, b。');
  expect(await told('zh-CN', { code: 'deviceNotFound', detail: 'no device', params: {} })).toBe('no device');
  expect(await told('zh-CN', { code: 'somethingNew', detail: 'it is new' })).toBe('it is new');
});
