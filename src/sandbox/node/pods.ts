import type { KubeClient } from '../../kube/client.ts';
import { isConflict, isNotFound } from '../../kube/errors.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { rfc3339 } from '../pods/container.ts';
import { endProcess } from '../pods/container.ts';
import { readRecord, recordedUids, removePodDir } from '../pods/record.ts';
import { covers, podStatus } from '../pods/status.ts';
import { adoptContainer } from '../pods/starting.ts';
import { PodWorker, type PodHost } from '../pods/worker.ts';

type DyingPod = Pod & { readonly metadata: Pod['metadata'] & { readonly deletionGracePeriodSeconds?: number } };

/** Time a pod gets to end when its object is gone already, in seconds. */
const FORCED_GRACE_SECONDS = 2;

function isOver(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/**
 * Runs the pods that the API server has assigned to a node.
 *
 * INVARIANTS: one worker for each uid; a pod's object is removed only after its worker has ended; a worker ends when its
 * pod is being deleted or its object is gone.
 */
export class NodePods {
  readonly #host: PodHost;
  readonly #changed: () => void;
  readonly #leave: AbortSignal;
  readonly #workers = new Map<string, { readonly worker: PodWorker; readonly done: Promise<void> }>();
  #swept = false;

  /** `changed` is called when `sync` should look again. */
  constructor(host: PodHost, changed: () => void, leave: AbortSignal) {
    this.#host = host;
    this.#changed = changed;
    this.#leave = leave;
  }

  /** Starts, stops and reports the pods; rejects when some of it could not be written. */
  async sync(pods: readonly Pod[]): Promise<void> {
    const byUid = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod as DyingPod]));
    if (!this.#swept) await this.#sweep(new Set(byUid.keys()));
    for (const [uid, { worker }] of this.#workers) {
      if (worker.finished && !byUid.has(uid)) this.#workers.delete(uid);
      else if (!byUid.has(uid)) worker.stop(FORCED_GRACE_SECONDS);
    }
    const results = await Promise.allSettled([...byUid.values()].map((pod) => this.#syncPod(pod)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Resolves when every worker has let go of its pod. */
  async settle(): Promise<void> {
    await Promise.all([...this.#workers.values()].map(({ done }) => done));
  }

  async #syncPod(pod: DyingPod): Promise<void> {
    const uid = pod.metadata.uid ?? '';
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    const dying = deletionTimestamp !== undefined;
    const known = this.#workers.get(uid)?.worker;
    if (known === undefined) {
      await this.#syncUnknown(uid, pod, dying);
      return;
    }
    if (dying) known.stop(deletionGracePeriodSeconds);
    await this.#report(pod, known);
    if (dying && known.finished) {
      await this.#removeObject(pod);
      this.#workers.delete(uid);
    }
  }

  /** A pod that has no worker: a new one, or one of an earlier agent. */
  async #syncUnknown(uid: string, pod: Pod, dying: boolean): Promise<void> {
    const nothingRuns = isOver(pod) || (dying && readRecord(this.#host.nodeDir, uid) === undefined);
    if (!nothingRuns) this.#begin(uid, pod);
    else if (dying) {
      await this.#removeRemains(uid);
      await this.#removeObject(pod);
    }
  }

  #begin(uid: string, pod: Pod): void {
    const worker = new PodWorker(pod, this.#host, this.#changed);
    this.#workers.set(uid, { worker, done: worker.run(this.#leave) });
    this.#changed();
  }

  async #report(pod: Pod, worker: PodWorker): Promise<void> {
    const { client, clock } = this.#host;
    const status = podStatus(pod, worker.view, rfc3339(clock));
    if (covers(pod.status, status)) return;
    const { name = '', namespace = '', uid } = pod.metadata;
    try {
      await client.patch<Pod>(
        RESOURCES.pods,
        name,
        { metadata: { uid }, status },
        { patchType: 'merge', subresource: 'status', namespace },
      );
    } catch (error) {
      // Gone, or replaced by another of its name: the watch will tell.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async #removeObject(pod: Pod): Promise<void> {
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    await deleteNow(this.#host.client, { name, namespace, uid });
  }

  /** Ends what pods of an earlier agent have left whose objects are gone, and keeps the addresses of the others. */
  async #sweep(uids: ReadonlySet<string>): Promise<void> {
    const { nodeDir, networks } = this.#host;
    for (const uid of recordedUids(nodeDir)) {
      const { network, podIP } = readRecord(nodeDir, uid) ?? {};
      if (!uids.has(uid)) await this.#removeRemains(uid);
      else if (network !== undefined && podIP !== undefined) networks.reserve(uid, podIP);
    }
    this.#swept = true;
  }

  async #removeRemains(uid: string): Promise<void> {
    const { nodeDir, clock, networks } = this.#host;
    const { containers = {}, network, podIP = '' } = readRecord(nodeDir, uid) ?? {};
    const processes = Object.values(containers).map((one) => adoptContainer(this.#host, one, this.#leave));
    await Promise.all(processes.map((process) => endProcess(process, clock, FORCED_GRACE_SECONDS * 1000)));
    if (network !== undefined) await networks.remove(uid, { namespace: network, address: podIP });
    removePodDir(nodeDir, uid);
  }
}

/** Removes the object of a pod that has ended, and no other one of its name. */
async function deleteNow(
  client: KubeClient,
  pod: { readonly name: string; readonly namespace: string; readonly uid: string },
): Promise<void> {
  const { name, namespace, uid } = pod;
  try {
    await client.request('DELETE', resourcePath(RESOURCES.pods, { namespace, name }), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      gracePeriodSeconds: 0,
      preconditions: { uid },
    });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
