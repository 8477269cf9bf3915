import type { Cable, CableDriver, DesiredCables } from '../../src/engine/drivers/driver.ts';
import { CableTestbed, run, type TestGateway } from './cable-testbed.ts';

/** A gateway of the second cluster. */
export type Which = 'b1' | 'b2';

/**
 * Cluster A with gateway `a`; cluster B with gateways `b1` and `b2` and a worker with a pod, joined by an overlay as the
 * route agents make it. What the engines of all three decide is set by `carrier` (which cable of A carries) and `active`
 * (the gateway of B that B's nodes send through).
 */
export class StandbyTestbed extends CableTestbed {
  readonly a: TestGateway;
  readonly b1: TestGateway;
  readonly b2: TestGateway;
  readonly worker: string;
  readonly workerPod: string;
  readonly workerPodAddress = '10.245.9.10';
  carrier: Which = 'b1';
  active: Which = 'b1';

  constructor() {
    super(3);
    const [a, b1, b2] = this.gateways;
    if (a === undefined || b1 === undefined || b2 === undefined) throw new Error('three gateways');
    const subnets = [...b1.subnets, '10.246.0.0/16'];
    this.a = a;
    this.b1 = { ...b1, subnets };
    this.b2 = { ...b2, clusterId: b1.clusterId, subnets };
    this.worker = `${this.id}-w`;
    this.workerPod = `${this.id}-wpod`;
    this.#addLan();
    this.#addWorkerPod();
    this.#addOverlay();
    this.hand('b1');
  }

  #addLan(): void {
    for (const name of [`${this.id}-lan`, this.worker, this.workerPod]) {
      run('ip', 'netns', 'add', name);
      run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }
    const lan = `${this.id}-lan`;
    run('ip', '-n', lan, 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', '-n', lan, 'link', 'set', 'br0', 'up');
    for (const [index, namespace] of this.#nodes.entries()) {
      run('ip', 'link', 'add', 'lan', 'netns', namespace, 'type', 'veth', 'peer', 'name', `l${index}`, 'netns', lan);
      run('ip', '-n', lan, 'link', 'set', `l${index}`, 'master', 'br0', 'up');
      run('ip', '-n', namespace, 'addr', 'add', `172.18.0.${index + 2}/24`, 'dev', 'lan');
      run('ip', '-n', namespace, 'link', 'set', 'lan', 'up');
    }
    const pods = ['10.245.0.0/24', '10.246.0.0/24', '10.245.9.0/24'];
    for (const [index, namespace] of this.#nodes.entries()) {
      for (const [other, cidr] of pods.entries()) {
        if (other !== index) run('ip', '-n', namespace, 'route', 'add', cidr, 'via', `172.18.0.${other + 2}`);
      }
    }
  }

  get #nodes(): readonly string[] {
    return [this.b1.namespace, this.b2.namespace, this.worker];
  }

  #addWorkerPod(): void {
    const { worker, workerPod } = this;
    const sysctls = ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0'];
    run('ip', 'netns', 'exec', worker, 'sysctl', '-qw', ...sysctls);
    run('ip', 'link', 'add', 'cni0', 'netns', worker, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', workerPod);
    run('ip', '-n', worker, 'addr', 'add', '10.245.9.1/24', 'dev', 'cni0');
    run('ip', '-n', worker, 'link', 'set', 'cni0', 'up');
    run('ip', '-n', workerPod, 'addr', 'add', `${this.workerPodAddress}/24`, 'dev', 'eth0');
    run('ip', '-n', workerPod, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', workerPod, 'route', 'add', 'default', 'via', '10.245.9.1');
  }

  #addOverlay(): void {
    for (const [index, namespace] of this.#nodes.entries()) {
      const local = ['id', '100', 'dstport', '4800', 'local', `172.18.0.${index + 2}`, 'dev', 'lan', 'nolearning'];
      run('ip', '-n', namespace, 'link', 'add', 'vx-submariner', 'type', 'vxlan', ...local);
      run('ip', '-n', namespace, 'addr', 'add', `240.18.0.${index + 2}/8`, 'dev', 'vx-submariner');
      run('ip', '-n', namespace, 'link', 'set', 'vx-submariner', 'up');
      for (const [other] of this.#nodes.entries()) {
        const entry = ['00:00:00:00:00:00', 'dev', 'vx-submariner', 'dst', `172.18.0.${other + 2}`];
        if (other !== index) run('bridge', '-n', namespace, 'fdb', 'append', ...entry);
      }
    }
  }

  /** Makes a gateway of B the active one: the worker and the other gateway send their pods' packets to it. */
  hand(to: Which): void {
    this.active = to;
    const via = to === 'b1' ? '240.18.0.2' : '240.18.0.3';
    for (const namespace of [this.worker, this.#of(to === 'b1' ? 'b2' : 'b1').namespace]) {
      for (const cidr of this.a.subnets) {
        run('ip', '-n', namespace, 'route', 'replace', cidr, 'via', via, 'dev', 'vx-submariner');
      }
    }
  }

  /** The new active gateway's own route agent takes its routes to the former one away, when its engine looks all up. */
  settle(): void {
    for (const cidr of this.a.subnets) {
      const { namespace } = this.#of(this.active);
      if (run('ip', '-n', namespace, 'route', 'show', cidr) !== '') run('ip', '-n', namespace, 'route', 'del', cidr);
    }
  }

  #of(which: Which): TestGateway {
    return which === 'b1' ? this.b1 : this.b2;
  }

  /** What the engine of a gateway wants now. */
  async wanted(gateway: TestGateway, drivers: readonly CableDriver[]): Promise<DesiredCables> {
    const { a, b1, b2 } = this;
    const config = async (of: TestGateway): Promise<Readonly<Record<string, string>>> =>
      (await drivers[of.index - 1]?.backendConfig()) ?? {};
    const cable = async (to: TestGateway, changes: Partial<Cable>): Promise<Cable> => ({
      ...this.cable(gateway, to, [await config(gateway), await config(to)]),
      probeIp: to.cniAddress,
      ...changes,
    });
    const common = { cniAddress: gateway.cniAddress };
    if (gateway.index === a.index) {
      const cables = [
        await cable(b1, { carries: this.carrier === 'b1' }),
        await cable(b2, { slot: 1, localUdpPort: 4501, carries: this.carrier === 'b2' }),
      ];
      return { ...common, cables, guardedCidrs: b1.subnets, lookup: 'all' };
    }
    const standby = gateway.index !== this.#of(this.active).index;
    return {
      ...common,
      cables: [await cable(a, gateway.index === b2.index ? { remoteUdpPort: 4501 } : {})],
      guardedCidrs: a.subnets,
      lookup: standby ? 'transit' : 'all',
    };
  }
}
