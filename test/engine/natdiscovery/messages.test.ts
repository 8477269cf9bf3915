import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decodeNatMessage,
  encodeNatMessage,
  type NatMessage,
  type NatRequest,
} from '../../../src/engine/natdiscovery/messages.ts';

const request: NatRequest = {
  kind: 'request',
  requestNumber: 300n,
  sender: { clusterId: 'a', endpointId: 'ca' },
  receiver: { clusterId: 'b', endpointId: 'cb' },
  usingSrc: { ip: '1.2.3.4', port: 4490 },
  usingDst: { ip: '5.6.7.8', port: 4490 },
};

/** Written by hand from the message definition and the protobuf encoding guide. */
const requestHex = [
  '0801', // version 1
  '1231', // request, 49 bytes
  '08ac02', // request_number 300
  '12070a016112026361', // sender
  '1a070a016212026362', // receiver
  '220c0a07312e322e332e34108a23', // using_src
  '2a0c0a07352e362e372e38108a23', // using_dst
].join('');

const responseHex = [
  '1a1c', // response, 28 bytes
  '0807', // request_number 7
  '1001', // NAT_DETECTED
  '1a030a0162',
  '22030a0161',
  '2801', // src_ip_nat_detected
  '420a0a06312e322e332e', // received_src …
].join('');

describe('datagrams', () => {
  test('a request has the bytes of the message definition', () => {
    expect(encodeNatMessage(request).toString('hex')).toBe(requestHex);
    expect(decodeNatMessage(Buffer.from(requestHex, 'hex'))).toEqual(request);
  });

  test('a response has the bytes of the message definition, zero values left out', () => {
    const response: NatMessage = {
      kind: 'response',
      requestNumber: 7n,
      response: 1,
      sender: { clusterId: 'b', endpointId: '' },
      receiver: { clusterId: 'a', endpointId: '' },
      srcIpNatDetected: true,
      srcPortNatDetected: false,
      dstIpNatDetected: false,
      receivedSrc: { ip: '1.2.3.', port: 5 },
    };
    const bytes = encodeNatMessage(response).toString('hex');
    expect(bytes).toBe(`${responseHex}1005`);
    expect(decodeNatMessage(Buffer.from(bytes, 'hex'))).toEqual(response);
  });

  test('an empty submessage is there, an absent one is not', () => {
    const { receiver: _receiver, ...rest } = request;
    const decoded = decodeNatMessage(
      encodeNatMessage({ ...rest, sender: { clusterId: '', endpointId: '' } }),
    ) as NatRequest;
    expect(decoded.sender).toEqual({ clusterId: '', endpointId: '' });
    expect('receiver' in decoded).toBe(false);
  });

  test('unknown fields of every wire type are skipped', () => {
    const extra = Buffer.from('a00601a9060102030405060708b20603616263bd0601020304', 'hex');
    expect(decodeNatMessage(Buffer.concat([extra, encodeNatMessage(request), extra]))).toEqual(request);
  });

  test.each([
    ['nothing', ''],
    ['only a version', '0801'],
    ['a cut varint', '12'],
    ['a length beyond the end', '12ff01'],
    ['a submessage that is a number', '1001'],
    ['field number 0', '0001'],
    ['an open group', '13'],
    ['a sender that is a number', '12021001'],
    ['a cluster ID that is not UTF-8', '120512030a01ff'],
    ['an endless varint', '12ff'.repeat(20)],
  ])('%s is no message', (_name, hex) => {
    expect(decodeNatMessage(Buffer.from(hex, 'hex'))).toBeUndefined();
  });

  const details = fc.record({ clusterId: fc.string({ unit: 'grapheme' }), endpointId: fc.string() });
  const pair = fc.record({ ip: fc.string(), port: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) });
  const optional = { requiredKeys: ['kind', 'requestNumber'] as const };
  const requests = fc.record(
    {
      kind: fc.constant('request' as const),
      requestNumber: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      sender: details,
      receiver: details,
      usingSrc: pair,
      usingDst: pair,
    },
    { requiredKeys: [...optional.requiredKeys] },
  );
  const responses = fc.record(
    {
      kind: fc.constant('response' as const),
      requestNumber: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      response: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      sender: details,
      receiver: details,
      srcIpNatDetected: fc.boolean(),
      srcPortNatDetected: fc.boolean(),
      dstIpNatDetected: fc.boolean(),
      receivedSrc: pair,
    },
    {
      requiredKeys: ['kind', 'requestNumber', 'response', 'srcIpNatDetected', 'srcPortNatDetected', 'dstIpNatDetected'],
    },
  );

  test('what is encoded comes out again', () => {
    fc.assert(
      fc.property(fc.oneof(requests, responses), (message) => {
        expect(decodeNatMessage(encodeNatMessage(message as NatMessage))).toEqual(message);
      }),
    );
  });

  test('junk, and messages with flipped or lost bytes, never throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeNatMessage(bytes)));
    const damage = fc.tuple(requests, fc.nat(400), fc.nat(255), fc.nat(400));
    fc.assert(
      fc.property(damage, ([message, at, value, cut]) => {
        const bytes = encodeNatMessage(message);
        if (bytes.length > 0) bytes[at % bytes.length] = value;
        decodeNatMessage(bytes.subarray(0, cut));
      }),
    );
  });
});
