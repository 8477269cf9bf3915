import { createHash } from 'node:crypto';
import type { CommandRunner } from '../../host/command.ts';
import { parseCidr, formatCidr } from '../../net/cidr.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { POD_BRIDGE } from '../fabric/layout.ts';
import { isNamespace, listNamespaces, namespaceFile, stopProcessesIn } from '../fabric/namespaces.ts';
import { podNamespace } from '../plan.ts';

/** A pod's own network. */
export interface PodNetwork {
  readonly namespace: string;
  readonly address: string;
}

export interface PodNetworkOptions {
  readonly sandbox: string;
  readonly node: string;
  /** The node's share of the pod CIDR, its first address being the node's. */
  readonly podCidr: string;
  readonly podGateway: string;
  readonly runner: CommandRunner;
  readonly clock: Clock;
}

/** Eight hexadecimal digits that stand for a pod in names of namespaces and links. */
export function podKey(uid: string): string {
  return createHash('sha256').update(uid).digest('hex').slice(0, 8);
}

/**
 * The CNI of a sandbox: gives pods addresses and namespaces. A pod reaches even its neighbours through the node, so
 * that Services work between them whatever the kernel does with bridged packets.
 *
 * INVARIANTS: no address is given to two living pods; one that was given back is used again last.
 */
export class PodNetworks {
  readonly #options: PodNetworkOptions;
  readonly #used = new Map<string, string>();
  #next = 2;

  constructor(options: PodNetworkOptions) {
    this.#options = options;
  }

  /** Makes the network of a pod, or takes over the one it has from before. */
  async create(uid: string, before?: PodNetwork): Promise<PodNetwork> {
    if (before !== undefined && isNamespace(before.namespace)) {
      this.#used.set(before.address, uid);
      return before;
    }
    if (before !== undefined) this.#release(uid, before.address);
    const namespace = podNamespace(this.#options.sandbox, this.#options.node, podKey(uid));
    if (listNamespaces().includes(namespace)) await this.#remove(namespace);
    const address = this.#allocate(uid);
    try {
      await this.#build(uid, namespace, address);
    } catch (error) {
      this.#used.delete(address);
      throw error;
    }
    return { namespace, address };
  }

  /** Sets what the pod's securityContext asks for. */
  async setSysctls(
    { namespace }: PodNetwork,
    sysctls: readonly { readonly name: string; readonly value: string }[],
  ): Promise<void> {
    for (const { name, value } of sysctls) {
      const set = ['sysctl', '-q', '-w', `${name}=${value}`];
      await this.#options.runner.run('nsenter', [`--net=${namespaceFile(namespace)}`, ...set]);
    }
  }

  /** Keeps an address of a pod of an earlier agent from being given to another. */
  reserve(uid: string, address: string): void {
    this.#used.set(address, uid);
  }

  /** Kills what still runs in a pod's network and removes it. */
  async remove(uid: string, network: PodNetwork): Promise<void> {
    if (listNamespaces().includes(network.namespace)) await this.#remove(network.namespace);
    this.#release(uid, network.address);
  }

  #release(uid: string, address: string): void {
    if (this.#used.get(address) === uid) this.#used.delete(address);
  }

  #allocate(uid: string): string {
    const { podCidr } = this.#options;
    const cidr = parseCidr(podCidr);
    if (cidr === undefined) throw new ExpectedError(`"${podCidr}" is not a pod CIDR`);
    const size = 2 ** (32 - cidr.prefixLength) - 3;
    for (let tried = 0; tried < size; tried += 1) {
      const offset = 2 + ((this.#next - 2 + tried) % size);
      const address = formatCidr({ ...cidr, base: cidr.base + BigInt(offset), prefixLength: 32 }).replace('/32', '');
      if (this.#used.has(address)) continue;
      this.#next = offset + 1;
      this.#used.set(address, uid);
      return address;
    }
    throw new ExpectedError(`all ${size} addresses of ${podCidr} are in use`);
  }

  async #build(uid: string, namespace: string, address: string): Promise<void> {
    const { runner, podGateway } = this.#options;
    const link = `veth${podKey(uid)}`;
    await this.#batch([
      `netns add ${namespace}`,
      `link add name eth0 netns ${namespace} type veth peer name ${link}`,
      `link set dev ${link} master ${POD_BRIDGE} up`,
      // For a pod that reaches itself through a Service, where the kernel applies DNAT to bridged packets.
      `link set dev ${link} type bridge_slave hairpin on`,
    ]);
    await this.#batch(
      [
        'link set dev lo up',
        `address add ${address}/32 dev eth0`,
        'link set dev eth0 up',
        `route add ${podGateway} dev eth0 scope link`,
        `route add default via ${podGateway} dev eth0`,
      ],
      namespace,
    );
    // The address may have had another owner a moment ago.
    await runner.run('ip', ['neighbour', 'flush', 'to', address, 'dev', POD_BRIDGE]);
  }

  async #remove(namespace: string): Promise<void> {
    await stopProcessesIn([namespace], { clock: this.#options.clock, graceMs: 0 });
    await this.#options.runner.run('ip', ['netns', 'del', namespace]);
  }

  async #batch(lines: readonly string[], namespace?: string): Promise<void> {
    const inside = namespace === undefined ? [] : ['-n', namespace];
    await this.#options.runner.run('ip', [...inside, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  }
}
