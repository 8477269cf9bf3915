import { randomBytes } from 'node:crypto';
import { OPERATOR_NAMESPACE } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import type { Lease } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { hasEnded, ownIdentity, type ProcessPlace } from '../runtime/identity.ts';
import type { ClusterAccess } from './access.ts';
import type { CommandRun } from './context.ts';
import { formatDuration } from './duration.ts';

/** Lease that says which subctl changes a joined cluster. */
export const CHANGE_LEASE = 'subctl-change';
const namespace = OPERATOR_NAMESPACE;
/** A subctl that was killed is forgotten after this time. */
const LEASE_S = 60;
const RENEW_MS = 15_000;

/** What is to be done with a cluster that only one may change at a time. */
export interface ChangeRequest {
  /** `subctl upgrade`: for those who are refused meanwhile. */
  readonly what: string;
  /** Take it from whoever has it. */
  readonly force: boolean;
  readonly signal: AbortSignal;
}

/** RFC 3339 with six decimals. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}

function endMsOf({ spec }: Lease): number {
  return Date.parse(spec?.renewTime ?? '') + (spec?.leaseDurationSeconds ?? LEASE_S) * 1000;
}

/** Annotation with the process that holds the lease. */
const PROCESS = 'subctl.submariner.io/process';

function renderProcess({ host, space, pid }: ProcessPlace): string {
  return JSON.stringify([host, space, pid]);
}

function isOfDead(text: string | undefined): boolean {
  try {
    const [host, space, pid] = JSON.parse(text ?? '') as readonly unknown[];
    return hasEnded({ host: String(host), space: String(space), pid: Number(pid) });
  } catch {
    return false;
  }
}

function isFree(lease: Lease, nowMs: number): boolean {
  const endMs = endMsOf(lease);
  if ((lease.spec?.holderIdentity ?? '') === '' || Number.isNaN(endMs) || endMs <= nowMs) return true;
  return isOfDead(lease.metadata.annotations?.[PROCESS]);
}

function refusal(lease: Lease, { name, cluster }: ClusterAccess, nowMs: number): ExpectedError {
  const { holderIdentity, acquireTime = '' } = lease.spec ?? {};
  const since = acquireTime.replace(/\.\d+Z$/, 'Z');
  const left = formatDuration(Math.max(1000, endMsOf(lease) - nowMs));
  return new ExpectedError(`cluster ${cluster} is being changed by ${holderIdentity} since ${since}`, {
    hint: `Wait until that has ended. When it was killed, this works by itself in ${left}; or take over now: subctl upgrade --force, or kubectl --context ${name} -n ${namespace} delete lease ${CHANGE_LEASE}. Nothing was changed.`,
  });
}

/** The lease taken; undefined when the cluster has no namespace for it, so that nothing runs there either. */
async function take(
  run: CommandRun,
  target: ClusterAccess,
  holder: string,
  force: boolean,
): Promise<Lease | undefined> {
  const { client } = target;
  const nowMs = run.context.clock.now();
  const now = microTime(nowMs);
  const spec = { holderIdentity: holder, leaseDurationSeconds: LEASE_S, acquireTime: now, renewTime: now };
  for (;;) {
    const found = await client.find<Lease>(RESOURCES.leases, CHANGE_LEASE, { namespace });
    if (found !== undefined && !force && !isFree(found, nowMs)) throw refusal(found, target, nowMs);
    try {
      return await write(client, found, spec);
    } catch (error) {
      if (isNotFound(error) && found === undefined) return undefined;
      if (!isOvertaken(error)) throw error;
    }
  }
}

/** Somebody was faster: what is there now decides. */
function isOvertaken(error: unknown): boolean {
  return isConflict(error) || isAlreadyExists(error) || isNotFound(error);
}

async function write(client: KubeClient, before: Lease | undefined, spec: NonNullable<Lease['spec']>): Promise<Lease> {
  const { resourceVersion } = before?.metadata ?? {};
  const metadata = {
    name: CHANGE_LEASE,
    namespace,
    annotations: { [PROCESS]: renderProcess(ownIdentity()) },
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  const lease: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
  const options = { namespace, fieldManager: 'subctl' };
  return before === undefined
    ? client.create(RESOURCES.leases, lease, options)
    : client.replace(RESOURCES.leases, lease, options);
}

/**
 * INVARIANTS: every write carries the resourceVersion it was decided on; a renewal that meets another holder, or no lease,
 * aborts `lost` and is the last one; an API server that is away changes nothing, and ends what others wait for.
 */
class HeldLock {
  readonly #run: CommandRun;
  readonly #client: KubeClient;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #lease: Lease;
  #renewing: Promise<void> = Promise.resolve();

  constructor(run: CommandRun, client: KubeClient, lease: Lease) {
    this.#run = run;
    this.#client = client;
    this.#lease = lease;
    this.#timer = setInterval(() => {
      this.#renewing = this.#renew();
    }, RENEW_MS);
    this.#timer.unref();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async #renew(): Promise<void> {
    const spec = { ...this.#lease.spec, renewTime: microTime(this.#run.context.clock.now()) };
    try {
      this.#lease = await write(this.#client, this.#lease, spec);
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) await this.#lose();
    }
  }

  async #lose(): Promise<void> {
    clearInterval(this.#timer);
    const found = await this.#client.find<Lease>(RESOURCES.leases, CHANGE_LEASE, { namespace }).catch(() => undefined);
    const by = found?.spec?.holderIdentity ?? 'somebody who deleted the lease';
    this.#lost.abort(new ExpectedError(`${by} took over`));
  }

  /** Gives it back, unless somebody else has it. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
    const { resourceVersion, uid } = this.#lease.metadata;
    const only = {
      namespace,
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(uid === undefined ? {} : { uid }),
    };
    // What cannot be given back now ends by itself.
    await this.#client.delete(RESOURCES.leases, CHANGE_LEASE, only).catch(() => undefined);
  }
}

/**
 * Does what only one may do with a joined cluster at a time. Rejects with ExpectedError, before `work`, while another
 * subctl changes the cluster; the signal of `work` is aborted also when somebody takes over.
 */
export async function whileAlone<T>(
  run: CommandRun,
  target: ClusterAccess,
  { what, force, signal }: ChangeRequest,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { user, host } = ownIdentity();
  const holder = `${user} on ${host} (${what}, ${randomBytes(3).toString('hex')})`;
  const lease = await take(run, target, holder, force);
  if (lease === undefined) return work(signal);
  const lock = new HeldLock(run, target.client, lease);
  try {
    return await work(AbortSignal.any([signal, lock.lost]));
  } finally {
    await lock.release();
  }
}
