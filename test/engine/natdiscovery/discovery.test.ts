import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  DEADLINE_MS,
  PRIVATE_GRACE_MS,
  doubtDiscovery,
  nextStepMs,
  receiveResponse,
  startDiscovery,
  stepDiscovery,
  type Discovery,
  type Outgoing,
  type Peer,
} from '../../../src/engine/natdiscovery/discovery.ts';
import { RESPONSE, type IpPort, type NatResponse } from '../../../src/engine/natdiscovery/messages.ts';

const self = { clusterId: 'west', endpointId: 'cable-west' };
const asker = { self, port: 4490 };
const peer: Peer = {
  cableName: 'cable-east',
  clusterId: 'east',
  privateIp: '172.31.0.11',
  publicIp: '198.18.0.11',
  natEnabled: true,
  usingLoadBalancer: false,
  port: 4490,
};

/** Drives one discovery by hand. */
class Bench {
  now = 1000;
  sent: Outgoing[] = [];
  state: Discovery;
  #number = 100n;
  constructor(over: Partial<Peer> = {}, remembered?: Discovery['decision']) {
    this.state = startDiscovery({ ...peer, ...over }, this.now, remembered);
  }
  /** Lets time pass in steps as due, as the service does. */
  advance(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      const due = nextStepMs(this.state);
      if (due === undefined || due > end) break;
      this.now = Math.max(this.now, due);
      const { discovery, send } = stepDiscovery(this.state, asker, this.now, () => (this.#number += 1n));
      if (discovery === this.state) throw new Error('a due step must change something');
      this.state = discovery;
      this.sent.push(...send);
    }
    this.now = end;
    return this;
  }
  requestTo(ip: string): Outgoing {
    return this.sent.findLast(({ to }) => to.ip === ip)!;
  }
  answer(ip: string, over: Partial<NatResponse> = {}, from: Partial<IpPort> = {}): this {
    const response: NatResponse = {
      kind: 'response',
      requestNumber: this.requestTo(ip).request.requestNumber,
      response: RESPONSE.ok,
      sender: { clusterId: peer.clusterId, endpointId: peer.cableName },
      receiver: self,
      srcIpNatDetected: false,
      srcPortNatDetected: false,
      dstIpNatDetected: false,
      ...over,
    };
    this.state = receiveResponse(this.state, response, { ip, port: 4490, ...from }, self, this.now);
    return this;
  }
}

describe('asking', () => {
  test('both addresses are asked at once, with different random numbers, and again every half second', () => {
    const bench = new Bench().advance(0);
    expect(bench.sent.map(({ to }) => to)).toEqual([
      { ip: '172.31.0.11', port: 4490 },
      { ip: '198.18.0.11', port: 4490 },
    ]);
    expect(bench.sent[0]!.request).toMatchObject({
      sender: self,
      receiver: { clusterId: 'east', endpointId: 'cable-east' },
      usingDst: { ip: '172.31.0.11', port: 4490 },
    });
    expect(bench.sent[0]!.request.requestNumber).not.toBe(bench.sent[1]!.request.requestNumber);
    expect(bench.advance(1000).sent).toHaveLength(6);
  });

  test('one address for both is asked once', () => {
    expect(new Bench({ publicIp: peer.privateIp }).advance(0).sent).toHaveLength(1);
  });

  test('after an answer nothing more is asked', () => {
    const bench = new Bench().advance(0).answer('172.31.0.11');
    expect(nextStepMs(bench.state)).toBeUndefined();
  });
});

describe('deciding', () => {
  test('private answers win at once', () => {
    const bench = new Bench().advance(20).answer('172.31.0.11');
    expect(bench.state.decision).toEqual({ usingIp: '172.31.0.11', usingNat: false, origin: 'private' });
  });

  test('a public answer waits a moment for the private one', () => {
    const bench = new Bench().advance(20).answer('198.18.0.11', { response: RESPONSE.natDetected });
    expect(bench.state.decision).toBeUndefined();
    bench.advance(PRIVATE_GRACE_MS);
    expect(bench.state.decision).toEqual({ usingIp: '198.18.0.11', usingNat: true, origin: 'public' });
  });

  test('private beats public in the moment of grace and long after', () => {
    for (const waitMs of [100, 2000, 60_000]) {
      const bench = new Bench().advance(20);
      const late = bench.requestTo('172.31.0.11').request.requestNumber;
      bench.answer('198.18.0.11').advance(waitMs).answer('172.31.0.11', { requestNumber: late });
      expect(bench.state.decision).toMatchObject({ usingIp: '172.31.0.11', origin: 'private' });
    }
  });

  test('public does not replace private', () => {
    const bench = new Bench().advance(0);
    const number = bench.requestTo('198.18.0.11').request.requestNumber;
    bench.answer('172.31.0.11').answer('198.18.0.11', { requestNumber: number }).advance(10_000);
    expect(bench.state.decision).toMatchObject({ origin: 'private' });
  });

  test.each([
    ['natEnabled', {}, '198.18.0.11', true],
    ['no NAT', { natEnabled: false }, '172.31.0.11', false],
    ['load balancer', { natEnabled: false, usingLoadBalancer: true }, '198.18.0.11', true],
    ['NAT said but no public address', { publicIp: '' }, '172.31.0.11', false],
    ['only a public address', { privateIp: '', natEnabled: false }, '198.18.0.11', false],
  ] as const)('no answer: %s', (_name, over, usingIp, usingNat) => {
    const bench = new Bench(over).advance(DEADLINE_MS - 1);
    expect(bench.state.decision).toBeUndefined();
    expect(bench.advance(1).state.decision).toEqual({ usingIp, usingNat, origin: 'fallback' });
  });

  test('a peer without a discovery port is guessed at once and never asked', () => {
    const bench = new Bench({ port: undefined, natEnabled: false }).advance(100_000);
    expect(bench.state.decision).toMatchObject({ usingIp: '172.31.0.11', origin: 'fallback' });
    expect(bench.sent).toEqual([]);
  });

  test('an answer after the guess is honoured; a guess is asked about further, slowly', () => {
    const bench = new Bench().advance(DEADLINE_MS);
    const before = bench.sent.length;
    bench.advance(60_000);
    expect(bench.sent.length - before).toBe(12);
    bench.answer('198.18.0.11');
    expect(bench.state.decision).toEqual({ usingIp: '198.18.0.11', usingNat: false, origin: 'public' });
  });

  test('what a former process found is used until there is an answer, and survives silence', () => {
    const remembered = { usingIp: '172.31.0.11', usingNat: true, origin: 'private' } as const;
    const bench = new Bench({}, remembered);
    expect(bench.state.decision).toEqual({ ...remembered, origin: 'remembered' });
    bench.advance(10_000);
    expect(bench.state.decision).toMatchObject({ usingIp: '172.31.0.11', origin: 'remembered' });
    bench.advance(20_000).answer('198.18.0.11');
    expect(bench.state.decision).toMatchObject({ origin: 'public' });
  });

  test('what was found for an address the peer no longer has is forgotten', () => {
    expect(new Bench({}, { usingIp: '9.9.9.9', usingNat: false, origin: 'public' }).state.decision).toBeUndefined();
  });
});

describe('doubt', () => {
  test('the decision stays in use while all are asked again, and yields to the first answer', () => {
    const bench = new Bench().advance(0).answer('172.31.0.11').advance(60_000);
    const before = bench.sent.length;
    bench.state = doubtDiscovery(bench.state, bench.now);
    bench.advance(0);
    expect(bench.sent.slice(before).map(({ to }) => to.ip)).toEqual(['172.31.0.11', '198.18.0.11']);
    expect(bench.state.decision).toEqual({ usingIp: '172.31.0.11', usingNat: false, origin: 'remembered' });
    bench.answer('198.18.0.11', { response: RESPONSE.natDetected }).advance(PRIVATE_GRACE_MS);
    expect(bench.state.decision).toEqual({ usingIp: '198.18.0.11', usingNat: true, origin: 'public' });
  });

  test('silence changes nothing', () => {
    const bench = new Bench().advance(0).answer('172.31.0.11');
    bench.state = doubtDiscovery(bench.state, bench.now);
    bench.advance(100_000);
    expect(bench.state.decision).toMatchObject({ usingIp: '172.31.0.11' });
    expect(doubtDiscovery(bench.state, bench.now)).toBe(bench.state);
  });
});

describe('answers that are not believed', () => {
  test.each<[string, Partial<NatResponse>, Partial<IpPort>]>([
    ['an unknown number', { requestNumber: 1n }, {}],
    ['another sender cluster', { sender: { clusterId: 'north', endpointId: 'cable-east' } }, {}],
    ['another sender', { sender: { clusterId: 'east', endpointId: 'x' } }, {}],
    ['another receiver', { receiver: { clusterId: 'north', endpointId: 'cable-west' } }, {}],
    ['from elsewhere', {}, { ip: '203.0.113.9' }],
    ['a refusal', { response: RESPONSE.unknownDstCluster }, {}],
    ['a malformed', { response: RESPONSE.malformed }, {}],
    ['a type of the future', { response: 17 }, {}],
  ])('%s', (_name, response, from) => {
    const bench = new Bench().advance(0);
    const before = bench.state;
    expect(bench.answer('172.31.0.11', response, from).state).toBe(before);
  });

  test('without sender or receiver', () => {
    for (const key of ['sender', 'receiver'] as const) {
      const bench = new Bench().advance(0);
      const before = bench.state;
      expect(bench.answer('172.31.0.11', { [key]: undefined }).state).toBe(before);
    }
  });

  test('the number of a private request does not prove the public address', () => {
    const bench = new Bench().advance(0);
    const number = bench.requestTo('172.31.0.11').request.requestNumber;
    const before = bench.state;
    expect(bench.answer('198.18.0.11', { requestNumber: number }).state).toBe(before);
  });
});

test('whatever is answered when, there is a decision after the deadline, and private never yields', () => {
  const steps = fc.array(
    fc.record({ waitMs: fc.nat(2000), target: fc.constantFrom('172.31.0.11', '198.18.0.11'), type: fc.nat(5) }),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(steps, (events) => {
      const bench = new Bench().advance(0);
      let wasPrivate = false;
      for (const { waitMs, target, type } of events) {
        bench.advance(waitMs).answer(target, { response: type });
        const isPrivate = bench.state.decision?.origin === 'private';
        if (wasPrivate && !isPrivate) throw new Error('private yielded');
        wasPrivate = isPrivate;
      }
      bench.advance(DEADLINE_MS);
      expect(bench.state.decision).toBeDefined();
      expect(bench.state.outstanding.length).toBeLessThanOrEqual(12);
    }),
  );
});
