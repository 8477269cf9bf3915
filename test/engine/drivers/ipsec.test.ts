import { describe, expect, test } from '@jest/globals';
import {
  cableOfChild,
  ipsecConnections,
  ipsecMode,
  loadMessage,
} from '../../../src/engine/drivers/ipsec-connections.ts';
import {
  observedCables,
  parseConnections,
  parseSas,
  type LoadedConnection,
  type ObservedIke,
} from '../../../src/engine/drivers/ipsec-observation.ts';
import { slotIfId } from '../../../src/engine/drivers/ipsec-network.ts';
import { planIpsec, type IpsecPlan } from '../../../src/engine/drivers/ipsec-plan.ts';
import type { IpsecConnection } from '../../../src/engine/drivers/ipsec-connections.ts';
import { cableTo } from './cables.ts';

const DPD = 5;

/** A charon in memory: what it is told becomes what it shows; initiated children come up at once. */
class Model {
  readonly loaded = new Map<string, LoadedConnection>();
  sas: ObservedIke[] = [];
  #id = 0;

  load(connection: IpsecConnection): void {
    this.loaded.set(connection.name, {
      name: connection.name,
      localAddresses: [connection.localAddress],
      remoteAddresses: [connection.remoteAddress ?? '%any'],
      dpdDelay: String(DPD),
      localId: connection.localId.replace('@', ''),
      remoteId: connection.remoteId.replace('@', ''),
      children: connection.children,
    });
  }

  initiate(connection: IpsecConnection, child: IpsecConnection['children'][number]): void {
    const state = 'INSTALLED';
    const more = {
      ...child,
      id: this.#next(),
      state,
      bytesIn: 1,
      bytesOut: 2,
      cipher: 'AES_GCM_16-256',
      encap: true,
      spis: [this.#next(), this.#next()],
    };
    const ike = this.sas.find((item) => item.connection === connection.name);
    if (ike === undefined) {
      this.sas.push({
        id: this.#next(),
        connection: connection.name,
        state: 'ESTABLISHED',
        initiator: true,
        localHost: connection.localAddress,
        remoteHost: connection.remoteAddress ?? '203.0.113.77',
        remotePort: String(connection.remotePort),
        localId: connection.localId.replace('@', ''),
        remoteId: connection.remoteId.replace('@', ''),
        children: [more],
      });
    } else this.sas[this.sas.indexOf(ike)] = { ...ike, children: [...ike.children, more] };
  }

  plan(wanted: readonly IpsecConnection[]): IpsecPlan {
    return planIpsec(wanted, [...this.loaded.values()], this.sas, DPD);
  }

  execute(plan: IpsecPlan): void {
    for (const name of plan.unload) this.loaded.delete(name);
    this.sas = this.sas
      .filter((ike) => !plan.terminateIke.includes(ike.id))
      .map((ike) => ({ ...ike, children: ike.children.filter((child) => !plan.terminateChild.includes(child.id)) }));
    for (const connection of plan.load) this.load(connection);
    for (const { connection, child } of plan.initiate) this.initiate(connection, child);
  }

  #next(): string {
    this.#id += 1;
    return String(this.#id);
  }
}

const NO_PLAN: IpsecPlan = { unload: [], load: [], terminateIke: [], terminateChild: [], initiate: [] };
const wantedOf = (...cables: readonly ReturnType<typeof cableTo>[]): readonly IpsecConnection[] =>
  cables.flatMap((cable) => ipsecConnections(cable));

describe('connections of a cable', () => {
  test('bidirectional: private addresses as identities, a child a pair', () => {
    const [connection] = wantedOf(cableTo(2));
    expect(connection).toMatchObject({ name: cableTo(2).name, localId: '198.18.0.1', remoteId: '198.18.0.2' });
    expect(connection!.children).toEqual([
      { name: 'submariner-cable-c2-198-18-0-2-0-0', localTs: '100.65.0.0/16', remoteTs: '100.66.0.0/16' },
      { name: 'submariner-cable-c2-198-18-0-2-0-1', localTs: '100.65.0.0/16', remoteTs: '10.131.0.0/16' },
      { name: 'submariner-cable-c2-198-18-0-2-1-0', localTs: '10.130.0.0/16', remoteTs: '100.66.0.0/16' },
      { name: 'submariner-cable-c2-198-18-0-2-1-1', localTs: '10.130.0.0/16', remoteTs: '10.131.0.0/16' },
    ]);
    expect(connection!.children.map(({ name }) => cableOfChild(name))).toEqual(Array(4).fill(cableTo(2).name));
  });

  test('of the two sides exactly one initiates at once; none when upstream is the other, which always does', () => {
    const remoteConfig = { 'udp-port-1': '4501' };
    const there = cableTo(2, { remoteConfig });
    const back = cableTo(1, {
      remoteConfig,
      name: 'submariner-cable-west-198-18-0-1',
      localClusterId: 'c2',
      localPrivateIp: '198.18.0.2',
      remoteClusterId: 'west',
    });
    const both = [...wantedOf(there), ...wantedOf(back)].map(({ initiates }) => initiates);
    expect(both.toSorted()).toEqual(['at once', 'late']);
    const upstream = [there, back].flatMap((cable) => wantedOf({ ...cable, remoteConfig: {} }));
    expect(upstream.map(({ initiates }) => initiates)).toEqual(['late', 'late']);
  });

  test('indexes do not shift when a CIDR is left out, and the own address is no CIDR of ours', () => {
    const cable = cableTo(2, { localSubnets: ['198.18.0.1/32', 'fd00::/64', '10.130.0.0/16'] });
    expect(wantedOf(cable)[0]!.children.map(({ name }) => name.slice(-3))).toEqual(['2-0', '2-1']);
    expect(wantedOf(cableTo(2, { remoteSubnets: [] }))).toEqual([]);
  });

  test.each([
    [undefined, undefined, 'bidirectional'],
    ['true', undefined, 'bidirectional'],
    ['false', 'false', 'bidirectional'],
    ['true', 'false', 'server'],
    ['false', 'true', 'client'],
    [undefined, 'true', 'client'],
    ['true', 'true', 'server'],
  ])('preferred server %p here and %p there: %s', (local, remote, mode) => {
    const config = (value: string | undefined): Record<string, string> =>
      value === undefined ? {} : { 'preferred-server': value };
    const cable = cableTo(2, { localConfig: config(local), remoteConfig: config(remote) });
    expect(ipsecMode(cable)).toBe(mode);
  });

  test('of two preferred servers the one with the greater cable name serves', () => {
    const yes = { 'preferred-server': 'true' };
    const cable = cableTo(2, { localClusterId: 'a', localConfig: yes, remoteConfig: yes });
    expect(ipsecMode(cable)).toBe('client');
  });

  test('server: identities by pair as the client has them mirrored, from anywhere, never initiating', () => {
    const cable = cableTo(2, {
      localConfig: { 'preferred-server': 'true' },
      remoteConfig: { 'preferred-server': 'false' },
    });
    const connections = wantedOf(cable);
    expect(connections).toHaveLength(4);
    expect(connections[1]).toMatchObject({
      name: 'submariner-cable-c2-198-18-0-2-0-1',
      localId: '@198.18.0.1-0-1',
      remoteId: '@198.18.0.2-1-0',
      remoteAddress: undefined,
      initiates: 'never',
    });
    const [, body] = Object.entries(loadMessage(connections[1]!, DPD))[0]!;
    expect(body).toMatchObject({ remote_addrs: ['%any'], local_port: '4500', dpd_delay: '5s' });
    expect(body).not.toHaveProperty('remote_port');
  });

  test('load-conn of a cable: ports of both sides, UDP encapsulation, proposals with and without PFS', () => {
    const body = loadMessage(wantedOf(cableTo(2, { remoteUdpPort: 4501 }))[0]!, DPD)[cableTo(2).name];
    expect(body).toMatchObject({
      version: '2',
      local_addrs: ['198.18.0.1'],
      remote_addrs: ['198.18.0.2'],
      local_port: '4500',
      remote_port: '4501',
      encap: 'yes',
      local: { auth: 'psk', id: '198.18.0.1' },
      children: { 'submariner-cable-c2-198-18-0-2-1-0': { local_ts: ['10.130.0.0/16'], remote_ts: ['100.66.0.0/16'] } },
    });
  });
});

test('children of kernel ESP belong to an xfrm link, those of userland ESP to none', () => {
  const [connection] = ipsecConnections(cableTo(2));
  const children = (ifId?: number): string => JSON.stringify(loadMessage(connection!, DPD, ifId));
  expect(children(slotIfId(1)).match(/"if_id_in":"1400201729","if_id_out":"1400201729"/g)).toHaveLength(4);
  expect(children()).not.toContain('if_id');
});

describe('plan', () => {
  test('makes everything once, then nothing', () => {
    const model = new Model();
    const wanted = wantedOf(cableTo(2), cableTo(3));
    const plan = model.plan(wanted);
    expect([plan.load.length, plan.initiate.length]).toEqual([2, 8]);
    model.execute(plan);
    expect(model.plan(wanted)).toEqual(NO_PLAN);
  });

  test('what a former process left and nobody wants is ended, the rest not mentioned', () => {
    const model = new Model();
    model.execute(model.plan(wantedOf(cableTo(2), cableTo(3))));
    const orphan = model.sas.find((ike) => ike.connection === cableTo(3).name)!.id;
    expect(model.plan(wantedOf(cableTo(2)))).toEqual({ ...NO_PLAN, unload: [cableTo(3).name], terminateIke: [orphan] });
  });

  test('a CIDR more or less touches only its pairs', () => {
    const model = new Model();
    model.execute(model.plan(wantedOf(cableTo(2))));
    const more = wantedOf(cableTo(2, { remoteSubnets: ['100.66.0.0/16', '10.131.0.0/16', '10.77.0.0/16'] }));
    const plan = model.plan(more);
    expect(plan.initiate.map(({ child }) => child.remoteTs)).toEqual(['10.77.0.0/16', '10.77.0.0/16']);
    expect({ ...plan, load: [], initiate: [] }).toEqual(NO_PLAN);
    model.execute(plan);
    const less = model.plan(wantedOf(cableTo(2)));
    expect([less.terminateChild.length, less.terminateIke.length, less.initiate.length]).toEqual([2, 0, 0]);
  });

  test.each([
    ['address', { usingIp: '203.0.113.9' }],
    ['port', { remoteUdpPort: 4501 }],
    ['identity', { remotePrivateIp: '198.18.0.99' }],
    ['own address', { localPrivateIp: '198.18.0.98' }],
  ])('another %s: the old SA goes, a new one is made', (_what, change) => {
    const model = new Model();
    model.execute(model.plan(wantedOf(cableTo(2))));
    const wanted = wantedOf({ ...cableTo(2), ...change });
    const plan = model.plan(wanted);
    expect([plan.load.length, plan.terminateIke.length, plan.initiate.length]).toEqual([1, 1, 4]);
    model.execute(plan);
    expect(model.plan(wanted)).toEqual(NO_PLAN);
  });

  test('behind NAT the peer may be seen at another address and port', () => {
    const model = new Model();
    const wanted = wantedOf(cableTo(2, { usingNat: true }));
    model.execute(model.plan(wanted));
    model.sas = model.sas.map((ike) => ({ ...ike, remoteHost: '203.0.113.5', remotePort: '61234' }));
    expect(model.plan(wanted)).toEqual(NO_PLAN);
  });

  test('while an IKE SA is being made nothing is initiated again; one that is going does not count', () => {
    const model = new Model();
    const wanted = wantedOf(cableTo(2));
    model.execute(model.plan(wanted));
    model.sas = [{ ...model.sas[0]!, state: 'CONNECTING', remoteId: '%any', children: [] }];
    expect(model.plan(wanted)).toEqual(NO_PLAN);
    model.sas = [{ ...model.sas[0]!, state: 'DELETING' }];
    expect(model.plan(wanted).initiate).toHaveLength(4);
  });
});

describe('observation', () => {
  const cable = cableTo(2);
  const child = (name: string, state: string) => ({
    name,
    uniqueid: '7',
    state,
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'bytes-in': '10',
    'bytes-out': '5',
    'local-ts': ['10.130.0.0/16'],
    'remote-ts': ['10.131.0.0/16'],
  });
  const conns = parseConnections([
    {
      [cable.name]: {
        local_addrs: ['198.18.0.1'],
        remote_addrs: ['198.18.0.2'],
        dpd_delay: '5',
        'local-1': { id: '198.18.0.1' },
        'remote-1': { id: '198.18.0.2' },
        children: {
          [`${cable.name}-0-0`]: { 'local-ts': ['10.130.0.0/16'], 'remote-ts': ['10.131.0.0/16'] },
          [`${cable.name}-0-1`]: { 'local-ts': ['10.130.0.0/16'], 'remote-ts': ['100.66.0.0/16'] },
        },
      },
    },
  ]);

  test('connected with one pair of two; the other is named; bytes are summed over replaced children', () => {
    const ike = {
      state: 'ESTABLISHED',
      'child-sas': { a: child(`${cable.name}-0-0`, 'INSTALLED'), b: child(`${cable.name}-0-0`, 'REKEYED') },
    };
    expect(observedCables(conns, parseSas([{ [cable.name]: ike }]))).toEqual([
      {
        cableName: cable.name,
        status: 'connected',
        message: '1 of 2 pairs of CIDRs, AES_GCM_16-256; without an SA: 10.130.0.0/16 - 100.66.0.0/16',
        rxBytes: 20,
        txBytes: 10,
      },
    ]);
  });

  test('connecting without an SA, with the state of IKE when there is one', () => {
    expect(observedCables(conns, [])[0]).toMatchObject({ status: 'connecting', message: 'no IKE SA with the peer' });
    const sas = parseSas([{ [cable.name]: { state: 'CONNECTING' } }]);
    expect(observedCables(conns, sas)[0]).toMatchObject({ status: 'connecting', message: 'IKE SA CONNECTING' });
  });
});

describe('whose turn it is to make what is missing', () => {
  const cable = cableTo(2);
  const lacking = (ikes: readonly Partial<ObservedIke>[]): readonly string[] => {
    const charon = new Model();
    const wanted = wantedOf(cable);
    charon.execute(charon.plan(wanted));
    const [made] = charon.sas;
    charon.sas = ikes.map((ike) => ({ ...made!, children: made!.children.slice(1), ...ike }));
    return charon.plan(wanted).initiate.map(({ turn }) => turn);
  };

  test.each([
    ['without an IKE SA it is as agreed', [], Array(4).fill('as agreed')],
    ['this side began and goes on', [{ initiator: true }], ['own']],
    ['the peer began and goes on', [{ initiator: false }], ['peer']],
    ['both began', [{ initiator: false }, { initiator: true }], ['own']],
    ['an IKE SA that is going does not count', [{ initiator: false, state: 'DELETING' }], Array(4).fill('as agreed')],
  ])('%s', (_, ikes, turns) => {
    expect(lacking(ikes)).toEqual(turns);
  });
});
