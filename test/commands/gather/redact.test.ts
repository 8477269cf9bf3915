import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { renderBrokerInfo } from '../../../src/api/brokerinfo.ts';
import { createRedactor, REDACTED } from '../../../src/commands/gather/redact.ts';

const PSK = Buffer.from('9f1c5d7e4b3a2c1d0e9f8a7b6c5d4e3f'.repeat(3), 'hex');
const TOKEN =
  'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6eDp5In0.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZy1lbm91Z2g';
const KEY = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIOx1\nabcdef0123==\n-----END EC PRIVATE KEY-----\n';
const INFO = renderBrokerInfo({
  brokerUrl: 'https://192.0.2.1:6443',
  clientToken: { metadata: {}, data: { token: Buffer.from(TOKEN).toString('base64') } },
  ipsecPsk: { metadata: {}, data: { psk: PSK.toString('base64') } },
  serviceDiscovery: false,
  components: [],
  customDomains: [],
});
const folded = (text: string): string => text.replaceAll(/.{1,76}/g, '$&\n');

describe('text', () => {
  test.each([
    ['a token', `authentication failed for ${TOKEN}!`, 'authentication failed for ##redacted##!'],
    ['a header', 'Authorization: Bearer abcdef-0123456789', 'Authorization: Bearer ##redacted##'],
    ['a private key', `key:\n${KEY}rest`, 'key:\n##redacted##\nrest'],
    ['a private key in JSON', JSON.stringify({ a: KEY }), '{"a":"##redacted##\\n"}'],
    ['a private key cut short', KEY.slice(0, 50), '##redacted##'],
    ['a password in a URL', 'proxy http://me:s3cret@proxy:3128/', 'proxy http://me:##redacted##@proxy:3128/'],
    ['a variable', 'CE_IPSEC_PSK=short next', 'CE_IPSEC_PSK=##redacted## next'],
    ['a field', 'token: abcdefghijklmnop, x', 'token: ##redacted##, x'],
    ['broker-info.subm', `read ${INFO}`, `read ${REDACTED}`],
    ['broker-info.subm, folded', folded(INFO), `${REDACTED}\n`],
    ['broker-info.subm, encoded again', Buffer.from(INFO).toString('base64'), REDACTED],
    ['a token, encoded', Buffer.from(TOKEN).toString('base64'), REDACTED],
  ])('%s is replaced', (_, text, expected) => {
    const redactor = createRedactor([]);
    expect(redactor.text(text)).toBe(expected);
    expect(redactor.count).toBeGreaterThan(0);
  });

  test.each([
    'the token has expired',
    'token: expired',
    'secretName: submariner-ipsec-psk',
    'brokerK8sSecret=submariner-broker-secret',
    'psk-sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    'publicKey: pe/J0MRJYsnxI2N5vOrsv/QD0XU/S/2T8ASj7lISshQ=',
    'image: quay.io/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
    '-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----',
    'https://192.0.2.1:6443/api/v1/namespaces/submariner-operator/pods@x',
  ])('%j stays', (text) => {
    const redactor = createRedactor([PSK]);
    expect(redactor.text(text)).toBe(text);
    expect(redactor.count).toBe(0);
  });

  test('a known secret is found in any of its forms', () => {
    const redactor = createRedactor([PSK, Buffer.from('hunter2!')]);
    const base64 = PSK.toString('base64');
    for (const form of [base64, PSK.toString('base64url'), PSK.toString('hex'), Buffer.from(base64).toString('base64')])
      expect(redactor.text(`a ${form} b`)).toMatch(/^a ##redacted##=* b$/);
    expect(redactor.text('(hunter2!)')).toBe(`(${REDACTED})`);
  });

  test('no secret of any bytes survives', () => {
    const secret = fc.uint8Array({ minLength: 12, maxLength: 64 });
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (bytes, before, after) => {
        const base64 = Buffer.from(bytes).toString('base64');
        const clean = createRedactor([Buffer.from(bytes)]).text(`${before}${base64}${after}`);
        expect(clean).not.toContain(base64.replace(/=+$/, ''));
      }),
    );
  });

  test.each(['a', 'a.', 'token', 'token=', 'eyJ', 'http:', '\n', '-----BEGIN ', `${'b'.repeat(41)}\n`])(
    'a long run of %j takes no longer than its length asks for',
    (part) => {
      const startedMs = performance.now();
      createRedactor([PSK]).text(part.repeat(400_000 / part.length));
      expect(performance.now() - startedMs).toBeLessThan(5000);
    },
  );

  test('cleaning what is clean changes nothing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const redactor = createRedactor([]);
        const once = redactor.text(text);
        expect(createRedactor([]).text(once)).toBe(once);
      }),
    );
  });
});

describe('object', () => {
  test('Secrets keep their keys and sizes only', () => {
    const secret = {
      kind: 'Secret',
      metadata: { name: 's', annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', a: 'b' } },
      data: { psk: PSK.toString('base64'), empty: '' },
      stringData: { plain: 'text' },
    };
    const clean = createRedactor([]).object(secret) as typeof secret;
    expect(clean.data).toEqual({ psk: '##redacted## (48 bytes)', empty: '##redacted## (0 bytes)' });
    expect(JSON.stringify(clean)).not.toContain('text');
    expect(clean.metadata).toEqual({ name: 's', annotations: { a: 'b' } });
  });

  test('fields and variables by their names, references to Secrets stay', () => {
    const spec = {
      brokerK8sApiServerToken: 'x',
      ceIPSecPSK: 'y',
      ceIPSecPSKSecret: 'submariner-ipsec-psk',
      automountServiceAccountToken: false,
      empty: { token: '' },
      env: [
        { name: 'CE_IPSEC_PSK', value: 'z' },
        { name: 'CE_IPSEC_PSKSECRET', value: 'submariner-ipsec-psk' },
        { name: 'HTTP_PROXY', value: 'http://me:pw@proxy:1' },
      ],
    };
    const redactor = createRedactor([]);
    expect(redactor.object({ metadata: { managedFields: [{}] }, spec })).toEqual({
      metadata: {},
      spec: {
        ...spec,
        brokerK8sApiServerToken: REDACTED,
        ceIPSecPSK: REDACTED,
        env: [
          { name: 'CE_IPSEC_PSK', value: REDACTED },
          { name: 'CE_IPSEC_PSKSECRET', value: 'submariner-ipsec-psk' },
          { name: 'HTTP_PROXY', value: `http://me:${REDACTED}@proxy:1` },
        ],
      },
    });
    expect(redactor.count).toBe(4);
  });
});
