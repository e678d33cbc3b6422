import { expect, test } from 'vitest';

import { changed, conflictsOf, settled } from './change';

test('only what was changed is sent, with what it was', () => {
  const before = { name: 'Lamp', timezone: undefined, settleSeconds: 10, description: '' };
  expect(changed(before, { ...before, timezone: '' })).toEqual({ change: {}, expected: {} });
  expect(changed(before, { ...before, name: 'Tram', settleSeconds: null, description: 'New' })).toEqual({
    change: { name: 'Tram', settleSeconds: null, description: 'New' },
    expected: { name: 'Lamp', settleSeconds: 10, description: '' },
  });
  expect(changed({ region: 'eu' }, { ring: 'beta' })).toEqual({
    change: { region: null, ring: 'beta' },
    expected: { region: 'eu', ring: null },
  });
});

test('a conflict is settled field by field', () => {
  const sent = { change: { attempts: 5, timeoutMinutes: 9, 'a.b': 'x' }, expected: { attempts: 3, timeoutMinutes: null, 'a.b': null } };
  const conflicts = conflictsOf({ 'terms.attempts': 4, 'tags.a.b': 'y' }, sent.change);
  expect(conflicts).toEqual([
    { name: 'attempts', mine: 5, theirs: 4 },
    { name: 'a.b', mine: 'x', theirs: 'y' },
  ]);
  expect(settled(sent, conflicts, { attempts: 'mine', 'a.b': 'theirs' })).toEqual({
    change: { attempts: 5, timeoutMinutes: 9 },
    expected: { attempts: 4, timeoutMinutes: null },
  });
});
