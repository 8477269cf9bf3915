import type { RouteAgent } from '../../src/api/types.ts';
import type { ProbeResult } from '../../src/host/probe.ts';
import type { CommandRunner } from '../../src/host/command.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Node } from '../../src/kube/objects.ts';
import type { Store } from '../../src/kube/store.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { RouteAgentDaemon } from '../../src/routeagent/routeagent.ts';
import { FakeHost } from '../fakes/host.ts';

/** A store whose content the test sets. */
export class FixedStore<T extends KubeObject> implements Store<T> {
  synced = true;
  problem: string | undefined;
  #items: readonly T[];
  readonly #listeners = new Set<() => void>();

  constructor(items: readonly T[]) {
    this.#items = items;
  }

  set(items: readonly T[]): void {
    this.#items = items;
    for (const listener of this.#listeners) listener();
  }

  list(): readonly T[] {
    return this.#items;
  }

  get(name: string): T | undefined {
    return this.#items.find((item) => item.metadata.name === name);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(): Promise<void> {
    await Promise.resolve();
  }
}

export function node(name: string, address: string, annotations: Readonly<Record<string, string>> = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: `uid-${name}`, annotations },
    status: { addresses: [{ type: 'InternalIP', address }] },
  };
}

/** An Endpoint of a cluster; `created` orders them. */
export function endpoint(
  cluster: string,
  hostname: string,
  privateIp: string,
  subnets: readonly string[],
  created = '2030-01-01T00:00:00Z',
): KubeObject {
  const cable = `submariner-cable-${cluster}-${privateIp.replaceAll('.', '-')}`;
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Endpoint',
    metadata: { name: `${cluster}-${cable}`, namespace: 'submariner-operator', creationTimestamp: created },
    spec: {
      cluster_id: cluster,
      cable_name: cable,
      hostname,
      subnets,
      private_ip: privateIp,
      public_ip: '',
      nat_enabled: false,
      backend: 'libreswan',
      healthCheckIP: `${
        subnets
          .findLast((text) => text.includes('.'))
          ?.split('.')
          .slice(0, 3)
          .join('.') ?? '10.0.0'
      }.1`,
    },
  } as KubeObject;
}

export const EAST_GATEWAY = endpoint('east', 'east-1', '172.31.0.11', ['100.66.0.0/16', '10.130.0.0/16']);
export const WEST = endpoint('west', 'west-1', '172.32.0.11', ['100.67.0.0/16', '10.131.0.0/16']);
export const EAST_NODES = [node('east-1', '172.31.0.11'), node('east-2', '172.31.0.12'), node('east-3', '172.31.0.13')];

/** Node k of cluster east as it is before we come: eth0, a bridge of the CNI, others' routes, rules and nft tables. */
export function eastHost(k: number): FakeHost {
  const host = new FakeHost();
  host.addLink('eth0', [`172.31.0.${10 + k}/24`]);
  host.addLink('cni0', [`10.130.${k}.1/24`], 'bridge');
  host.do('ip route add default via 172.31.0.1 dev eth0');
  for (const other of [1, 2, 3].filter((n) => n !== k)) {
    host.do(`ip route add 10.130.${other}.0/24 via 172.31.0.${10 + other} dev eth0`);
  }
  host.do('ip route add 10.77.0.0/16 via 172.31.0.9 dev eth0 proto 4');
  host.do('ip rule add pref 99 lookup 99');
  host.do('ip route add 10.78.0.0/16 dev eth0 table 99');
  host.nft.run('table inet kube-proxy {\n\tchain x {\n\t\taccept\n\t}\n}\n');
  return host;
}

export interface Stage {
  readonly daemon: RouteAgentDaemon;
  readonly endpoints: FixedStore<KubeObject>;
  readonly nodes: FixedStore<Node>;
  readonly published: RouteAgent[];
}

/** A route agent of node k of cluster east on this machine. */
export function stage(
  runner: CommandRunner,
  k: number,
  options: { readonly probe?: () => Promise<ProbeResult>; readonly podCidr?: string } = {},
): Stage {
  const endpoints = new FixedStore<KubeObject>([EAST_GATEWAY, WEST]);
  const nodes = new FixedStore<Node>(EAST_NODES);
  const published: RouteAgent[] = [];
  const daemon = new RouteAgentDaemon({
    config: {
      clusterId: 'east',
      nodeName: `east-${k}`,
      namespace: 'submariner-operator',
      version: '1.2.3',
      podCidrs: ['10.130.0.0/16'],
      serviceCidrs: ['100.66.0.0/16'],
      healthCheck: { enabled: options.probe !== undefined, intervalMs: 1000, maxLosses: 3 },
    },
    endpoints,
    nodes,
    runner,
    logger: silentLogger,
    probe: options.probe ?? (() => Promise.resolve({ failure: 'not asked' })),
    publish: async (agent) => {
      await Promise.resolve();
      published.push(agent);
    },
  });
  return { daemon, endpoints, nodes, published };
}

/** Polls a condition; rejects with what is there when it does not come true in time. */
export async function eventually<T>(look: () => T | undefined | false, what: string, deadlineMs = 5000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
