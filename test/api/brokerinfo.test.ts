import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { brokerAccessOf, parseBrokerInfo, pskOf, renderBrokerInfo, type BrokerInfo } from '../../src/api/brokerinfo.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
/** Bytes that are no UTF-8, as a random key is. */
const PSK = Buffer.from(Array.from({ length: 48 }, (_, index) => 255 - index));

const INFO: BrokerInfo = {
  brokerUrl: 'https://10.1.2.3:6443',
  clientToken: {
    metadata: {
      name: 'submariner-k8s-broker-admin-token-abcde',
      namespace: 'submariner-k8s-broker',
      uid: '5f1c',
      annotations: { 'kubernetes.io/created-by': 'subctl', note: '<a> & "b"' },
    },
    data: { 'ca.crt': base64(PEM), namespace: base64('submariner-k8s-broker'), token: base64('a.b.c') },
    type: 'kubernetes.io/service-account-token',
  },
  ipsecPsk: {
    metadata: { name: 'submariner-ipsec-psk', creationTimestamp: null },
    data: { psk: PSK.toString('base64') },
  },
  serviceDiscovery: false,
  components: ['connectivity'],
  customDomains: [],
};
const FILE = renderBrokerInfo(INFO);
const urlSafe = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
    .toString('base64')
    .replaceAll('+', '-')
    .replaceAll('/', '_');
const decoded = (): Record<string, unknown> =>
  JSON.parse(Buffer.from(FILE, 'base64url').toString()) as Record<string, unknown>;

describe('renderBrokerInfo', () => {
  test('is one line of URL-safe base64 with padding of JSON as Go writes it, in upstream keys', () => {
    expect(FILE).toMatch(/^[A-Za-z0-9_-]+={0,2}$/);
    expect(FILE.length % 4).toBe(0);
    const json = Buffer.from(FILE, 'base64url').toString();
    expect(json).toContain('"note":"\\u003ca\\u003e \\u0026 \\"b\\""');
    expect(Object.keys(decoded())).toEqual([
      'brokerURL',
      'ClientToken',
      'IPSecPSK',
      'ServiceDiscovery',
      'Components',
      'CustomDomains',
    ]);
    expect(decoded()).toMatchObject({ CustomDomains: null, IPSecPSK: { metadata: { creationTimestamp: null } } });
  });

  test('leaves out empty components and sorts the others', () => {
    const render = (components: string[]): unknown =>
      (
        JSON.parse(Buffer.from(renderBrokerInfo({ ...INFO, components }), 'base64url').toString()) as Record<
          string,
          unknown
        >
      )['Components'];
    expect(render([])).toBeUndefined();
    expect(render(['service-discovery', 'connectivity'])).toEqual(['connectivity', 'service-discovery']);
  });
});

describe('parseBrokerInfo', () => {
  test('reads what was written', () => {
    expect(parseBrokerInfo(FILE)).toEqual({ info: INFO });
    expect(brokerAccessOf(INFO)).toEqual({
      server: 'https://10.1.2.3:6443',
      namespace: 'submariner-k8s-broker',
      token: 'a.b.c',
      ca: PEM,
    });
    expect(pskOf(INFO)).toEqual(PSK);
  });

  test('anything that can be written can be read', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 });
    const info = fc.record({
      token: fc.stringMatching(/^[\x21-\x7e]+$/),
      namespace: text,
      psk: fc.uint8Array({ minLength: 1 }),
      custom: fc.array(text),
      serviceDiscovery: fc.boolean(),
    });
    fc.assert(
      fc.property(info, ({ token, namespace, psk, custom, serviceDiscovery }) => {
        const one: BrokerInfo = {
          ...INFO,
          clientToken: { metadata: { name: namespace }, data: { token: base64(token), namespace: base64(namespace) } },
          ipsecPsk: { metadata: {}, data: { psk: Buffer.from(psk).toString('base64') } },
          customDomains: custom,
          serviceDiscovery,
        };
        expect(parseBrokerInfo(renderBrokerInfo(one))).toEqual({ info: one });
      }),
    );
  });

  test('keys in any case, line breaks, missing padding, a byte order mark and the other alphabet are no obstacle', () => {
    const content = decoded();
    const renamed = Object.fromEntries(Object.entries(content).map(([key, value]) => [key.toUpperCase(), value]));
    expect(parseBrokerInfo(urlSafe(renamed)).info?.brokerUrl).toBe(INFO.brokerUrl);
    const broken = `\uFEFF${FILE.replaceAll(/.{60}/g, '$&\r\n').replace(/=+$/, '')}\n`;
    expect(parseBrokerInfo(broken)).toEqual({ info: INFO });
    expect(parseBrokerInfo(FILE.replaceAll('-', '+').replaceAll('_', '/'))).toEqual({ info: INFO });
  });

  test('an address without scheme is https, a trailing slash does not matter, a key may be absent', () => {
    const { IPSecPSK: _dropped, ...content } = { ...decoded(), brokerURL: 'api.example.com:6443/' } as Record<
      string,
      unknown
    >;
    expect(parseBrokerInfo(urlSafe(content)).info).toMatchObject({
      brokerUrl: 'https://api.example.com:6443',
      ipsecPsk: undefined,
    });
  });

  test.each([
    ['', 'it is empty'],
    ['  \n', 'it is empty'],
    ['{"brokerURL": "x"}', 'plain JSON'],
    ['apiVersion: v1\nkind: Config\n', 'YAML'],
    [PEM, 'certificate'],
    ['hello, world', 'unexpected character ","'],
    [urlSafe('hello'), 'does not hold broker information'],
    [urlSafe([1]), 'does not hold broker information'],
    [urlSafe({}), 'missing or wrong: brokerURL, ClientToken'],
    [urlSafe({ ...decoded(), brokerURL: 'ftp://x' }), 'missing or wrong: brokerURL'],
    [urlSafe({ ...decoded(), brokerURL: 'http://10.1.2.3:6443' }), 'missing or wrong: brokerURL'],
    [urlSafe({ ...decoded(), ClientToken: { data: {} } }), 'ClientToken.data.token, ClientToken.data.namespace'],
    [
      urlSafe({ ...decoded(), ClientToken: { data: { ...INFO.clientToken.data, 'ca.crt': base64('x') } } }),
      'ClientToken.data.ca.crt',
    ],
    [urlSafe({ ...decoded(), IPSecPSK: { data: { psk: '!' } } }), 'IPSecPSK.data.psk'],
  ])('%j: %s', (text, problem) => {
    const result = parseBrokerInfo(text);
    expect(result.problem).toContain(problem);
    expect(result.info).toBeUndefined();
    expect((result as { hint: string }).hint).toContain('subctl');
  });

  test('wherever it is cut off, it is refused as truncated', () => {
    for (let length = 4; length < FILE.replace(/=+$/, '').length - 1; length += 1) {
      expect(parseBrokerInfo(FILE.slice(0, length)).problem).toMatch(/truncated|edited/);
    }
    expect(parseBrokerInfo(FILE.slice(0, 400)).problem).toBe('it is truncated');
  });

  test('a token that has expired is refused when the time is known', () => {
    const token = `${urlSafe({})}.${urlSafe({ exp: 1_700_000_000 })}.x`;
    const data = { ...INFO.clientToken.data, token: base64(token) };
    const file = renderBrokerInfo({ ...INFO, clientToken: { ...INFO.clientToken, data } });
    expect(parseBrokerInfo(file).problem).toBeUndefined();
    expect(parseBrokerInfo(file, 1_699_999_999_000).problem).toBeUndefined();
    expect(parseBrokerInfo(file, 1_700_000_001_000).problem).toBe('its token has expired (2023-11-14T22:13:20.000Z)');
  });

  test('never throws, whatever the file or its JSON holds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json().map(urlSafe), fc.base64String()), (text) => {
        const result = parseBrokerInfo(text, 1e12);
        expect(typeof (result.problem ?? result.info)).not.toBe('undefined');
      }),
    );
    const key = fc.constantFrom(
      'brokerURL',
      'ClientToken',
      'IPSecPSK',
      'data',
      'metadata',
      'token',
      'namespace',
      'ca.crt',
      'psk',
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ maxDepth: 3 }, fc.string(), fc.constant(null), fc.integer(), fc.dictionary(key, tie('any'))),
    })).any;
    fc.assert(
      fc.property(
        fc.dictionary(key, value),
        (content) => void parseBrokerInfo(urlSafe({ ...decoded(), ...content }), 1e12),
      ),
    );
    fc.assert(
      fc.property(fc.nat(FILE.length - 1), fc.constantFrom('A', 'z', '_', '-', '=', '0'), (at, character) => {
        parseBrokerInfo(FILE.slice(0, at) + character + FILE.slice(at + 1), 1e12);
      }),
    );
  });
});
