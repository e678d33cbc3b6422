import { expect, test } from 'vitest';

import { fingerprint } from './pem';

test('a certificate is known by the digest of what is within the PEM', async () => {
  const abc = '-----BEGIN CERTIFICATE-----\nYW\r\nJj\n-----END CERTIFICATE-----\n';
  expect(await fingerprint(`Subject: any\n${abc}`)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(await fingerprint('-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----')).toBeNull();
  expect(await fingerprint(abc.replace('YW', 'YWY'))).toBeNull();
});
