import { createHash } from 'node:crypto';
import type { KubeClient } from '../../kube/client.ts';
import type { ConfigMap, Container, Pod, Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ContainerRunner, rfc3339, type StartedContainer } from './container.ts';
import { buildEnvironment, hostNameOf, type PodFacts, type PodObjects } from './environment.ts';
import type { PodNetworks } from './network.ts';
import { readRecord, removePodDir, writeRecord, type ContainerRecord, type PodRecord } from './record.ts';
import { adoptContainer, imageEnvironment, startContainer, type ContainerHost } from './starting.ts';
import type { PodView } from './status.ts';
import { podTokens } from './tokens.ts';
import { refreshVolumes } from './storage.ts';
import type { TokenSource } from './volumes.ts';

/** What all pods of a node share. */
export interface PodHost extends ContainerHost {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly networks: PodNetworks;
  readonly nodeName: string;
  readonly hostIP: string;
  /** Address of Service `kubernetes`; throws while it is not known. */
  readonly apiAddress: () => { readonly host: string; readonly port: number };
  readonly restartMs: number;
}

const RETRY_MS = 1000;
const REFRESH_MS = 30_000;
const GRACE_SECONDS = 30;

/**
 * Runs one pod from its network to its end.
 *
 * INVARIANTS: containers start only when network, volumes and init containers are done; after `run` has resolved because
 * of `stop`, no process of the pod's containers runs and nothing of it is left on disk or in the kernel; when `leave` is
 * aborted everything is left as it is, for an agent that comes later.
 */
export class PodWorker {
  readonly pod: Pod;
  readonly #host: PodHost;
  readonly #changed: () => void;
  readonly #stop = new AbortController();
  readonly #init: readonly ContainerRunner[];
  readonly #main: readonly ContainerRunner[];
  readonly #token: TokenSource;
  #record: PodRecord;
  #prepared = false;
  #finished = false;

  constructor(pod: Pod, host: PodHost, changed: () => void) {
    const { uid = '', namespace = 'default', name = '' } = pod.metadata;
    this.pod = pod;
    this.#host = host;
    this.#changed = changed;
    this.#token = podTokens(host.client, pod, host.clock);
    this.#record = readRecord(host.nodeDir, uid) ?? {
      uid,
      namespace,
      name,
      startTime: rfc3339(host.clock),
      initialized: false,
      containers: {},
    };
    const policy = pod.spec.restartPolicy ?? 'Always';
    this.#init = (pod.spec.initContainers ?? []).map((one) =>
      this.#runner(one, policy === 'Never' ? policy : 'OnFailure'),
    );
    this.#main = pod.spec.containers.map((one) => this.#runner(one, policy));
  }

  /** True when everything of the pod is gone from this node. */
  get finished(): boolean {
    return this.#finished;
  }

  get view(): PodView {
    return {
      podIP: this.pod.spec.hostNetwork === true ? this.#host.hostIP : this.#record.podIP,
      hostIP: this.#host.hostIP,
      startTime: this.#record.startTime,
      prepared: this.#prepared,
      initialized: this.#record.initialized,
      initContainers: this.#init.map((one) => one.view),
      containers: this.#main.map((one) => one.view),
    };
  }

  /** Asks the pod to end; without a time within its own grace period. */
  stop(graceSeconds = this.pod.spec.terminationGracePeriodSeconds ?? GRACE_SECONDS): void {
    for (const one of [...this.#init, ...this.#main]) one.stop(graceSeconds * 1000);
    this.#stop.abort();
  }

  /** Resolves when the pod was stopped and is gone, or left alone; never rejects. */
  async run(leave: AbortSignal): Promise<void> {
    const halt = AbortSignal.any([this.#stop.signal, leave]);
    await this.#untilDone('pod cannot be prepared', halt, () => this.#prepare());
    if (!halt.aborted) {
      const refreshing = this.#keepFresh(halt);
      await this.#runContainers(leave, halt);
      await untilAborted(halt);
      await refreshing;
    }
    if (leave.aborted) return;
    await this.#untilDone('pod cannot be removed', leave, () => this.#remove());
    this.#finished = !leave.aborted;
    this.#changed();
  }

  async #runContainers(leave: AbortSignal, halt: AbortSignal): Promise<void> {
    if (!this.#record.initialized) {
      for (const one of this.#init) {
        if (!(await one.run(leave)) || halt.aborted) return;
      }
      this.#keep({ initialized: true });
      this.#changed();
    }
    await Promise.all(this.#main.map((one) => one.run(leave)));
  }

  async #untilDone(problem: string, halt: AbortSignal, work: () => Promise<void>): Promise<void> {
    for (let told = ''; !halt.aborted;) {
      try {
        await work();
        return;
      } catch (error) {
        const { namespace, name } = this.pod.metadata;
        if (told !== messageOf(error))
          this.#host.logger.warn(problem, { namespace, pod: name, error: messageOf(error) });
        told = messageOf(error);
        for (const one of this.#main) one.wait('ContainerCreating', told);
        await this.#host.clock.sleep(RETRY_MS, halt);
      }
    }
  }

  async #prepare(): Promise<void> {
    const { networks, nodeDir } = this.#host;
    const { network, podIP } = this.#record;
    if (this.pod.spec.hostNetwork !== true) {
      const before = network === undefined || podIP === undefined ? undefined : { namespace: network, address: podIP };
      const made = await networks.create(this.#record.uid, before);
      await networks.setSysctls(made, this.pod.spec.securityContext?.sysctls ?? []);
      this.#keep({ network: made.namespace, podIP: made.address });
    } else {
      this.#keep({});
    }
    await refreshVolumes(nodeDir, this.#facts(), this.#objects(), this.#token);
    this.#prepared = true;
    this.#changed();
  }

  /** Secrets, config maps and tokens change while a pod runs. */
  async #keepFresh(halt: AbortSignal): Promise<void> {
    const { clock, nodeDir, logger } = this.#host;
    for (;;) {
      await clock.sleep(REFRESH_MS, halt);
      if (halt.aborted) return;
      try {
        await refreshVolumes(nodeDir, this.#facts(), this.#objects(), this.#token);
      } catch (error) {
        logger.debug('volumes stay as they are', { pod: this.pod.metadata.name, error: messageOf(error) });
      }
    }
  }

  async #remove(): Promise<void> {
    const { network, podIP, uid } = this.#record;
    if (network !== undefined) await this.#host.networks.remove(uid, { namespace: network, address: podIP ?? '' });
    removePodDir(this.#host.nodeDir, uid);
  }

  #runner(container: Container, restartPolicy: string): ContainerRunner {
    const { clock, logger, restartMs } = this.#host;
    const { name, namespace } = this.pod.metadata;
    const options = {
      container,
      restartPolicy,
      imageId: `sandbox://${createHash('sha256')
        .update(container.image ?? '')
        .digest('hex')
        .slice(0, 16)}`,
      podIP: () => this.view.podIP ?? '',
      start: () => this.#start(container),
      adopt: (record: ContainerRecord, leave: AbortSignal) => adoptContainer(this.#host, record, leave),
      environment: () => this.#environment(container),
      changed: () => this.#containerChanged(),
      clock,
      logger: logger.with({ namespace, pod: name }),
      restartMs,
      graceMs: (this.pod.spec.terminationGracePeriodSeconds ?? GRACE_SECONDS) * 1000,
    };
    return new ContainerRunner(options, this.#record.containers[container.name]);
  }

  #containerChanged(): void {
    const records = [...this.#init, ...this.#main].flatMap((one) =>
      one.record === undefined ? [] : [[one.view.name, one.record] as const],
    );
    if (this.#prepared && !this.#finished) this.#keep({ containers: Object.fromEntries(records) });
    this.#changed();
  }

  async #environment(container: Container): Promise<Readonly<Record<string, string>>> {
    return buildEnvironment(container, imageEnvironment(this.#host, container), this.#facts(), this.#objects());
  }

  async #start(container: Container): Promise<StartedContainer> {
    const env = await this.#environment(container);
    const hostName = hostNameOf(this.#facts());
    return {
      process: await startContainer(this.#host, { pod: this.pod, record: this.#record, container, env, hostName }),
      env,
    };
  }

  #facts(): PodFacts {
    const { hostIP, nodeName, apiAddress } = this.#host;
    const { host: apiHost, port: apiPort } = apiAddress();
    return { pod: this.pod, podIP: this.view.podIP ?? '', hostIP, nodeName, apiHost, apiPort };
  }

  #objects(): PodObjects {
    const { client } = this.#host;
    const { namespace } = this.#record;
    return {
      secret: (name) => client.find<Secret>(RESOURCES.secrets, name, { namespace }),
      configMap: (name) => client.find<ConfigMap>(RESOURCES.configMaps, name, { namespace }),
    };
  }

  #keep(change: Partial<PodRecord>): void {
    this.#record = { ...this.#record, ...change };
    writeRecord(this.#host.nodeDir, this.#record);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
