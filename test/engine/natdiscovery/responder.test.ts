import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RESPONSE, type NatRequest, type NatResponse } from '../../../src/engine/natdiscovery/messages.ts';
import { answerRequest } from '../../../src/engine/natdiscovery/responder.ts';

const self = { clusterId: 'west', endpointId: 'cable-west' };
const responder = { self, privateIp: '172.32.0.11' };
const from = { ip: '172.31.0.11', port: 4490 };
const request: NatRequest = {
  kind: 'request',
  requestNumber: 2n ** 64n - 1n,
  sender: { clusterId: 'east', endpointId: 'cable-east' },
  receiver: self,
  usingSrc: from,
  usingDst: { ip: '172.32.0.11', port: 4490 },
};

test('no address changed on the way: OK', () => {
  expect(answerRequest(request, from, responder)).toEqual({
    kind: 'response',
    requestNumber: 2n ** 64n - 1n,
    response: RESPONSE.ok,
    sender: self,
    receiver: request.sender,
    srcIpNatDetected: false,
    srcPortNatDetected: false,
    dstIpNatDetected: false,
    receivedSrc: from,
  });
});

test.each<[string, Partial<NatRequest>, typeof from, Partial<NatResponse>]>([
  ['another source address', {}, { ...from, ip: '203.0.113.1' }, { response: 1, srcIpNatDetected: true }],
  ['another source port', {}, { ...from, port: 61_000 }, { response: 1, srcPortNatDetected: true }],
  ['another target', { usingDst: { ip: '203.0.113.2', port: 4490 } }, from, { response: 1, dstIpNatDetected: true }],
  ['an unknown source address is not compared', { usingSrc: { ip: '', port: 4490 } }, from, { response: 0 }],
  ['a wrong cluster', { receiver: { ...self, clusterId: 'x' } }, from, { response: RESPONSE.unknownDstCluster }],
  ['a wrong cable', { receiver: { ...self, endpointId: 'x' } }, from, { response: RESPONSE.unknownDstEndpoint }],
])('%s', (_name, over, source, expected) => {
  expect(answerRequest({ ...request, ...over }, source, responder)).toMatchObject(expected);
});

test('a request with anything missing is MALFORMED, and the answer has sender and receiver all the same', () => {
  const keys = fc.subarray(['sender', 'receiver', 'usingSrc', 'usingDst'] as const, { minLength: 1 });
  fc.assert(
    fc.property(keys, (missing) => {
      const partial = Object.fromEntries(Object.entries(request).filter(([key]) => !missing.includes(key as 'sender')));
      const answer = answerRequest(partial as unknown as NatRequest, from, responder);
      expect(answer).toMatchObject({ response: RESPONSE.malformed, sender: self });
      expect(answer.receiver).toBeDefined();
    }),
  );
});
