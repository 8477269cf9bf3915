import { readFileSync } from 'node:fs';
import { BROKER_NAME } from '../api/names.ts';
import { readToken, type TokenFacts } from '../api/token.ts';
import { createBrokerClient, DAEMON_TIMES } from '../kube/brokerclient.ts';
import type { KubeClient } from '../kube/client.ts';
import { isUnauthorized } from '../kube/errors.ts';
import type { Secret } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { createStore, type Store } from '../kube/store.ts';
import { requestToken } from '../kube/tokenrequest.ts';
import type { Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { ReconcileLoop } from '../runtime/loop.ts';
import type { BrokerConfig } from './config.ts';

/** The part of a credential's life after which it is renewed. */
const RENEWED_AFTER = 1 / 2;
/** With so little of it left, a renewal that does not work is worth a word. */
const WORRY_AT = 1 / 4;
const LOOK_MS = 30_000;

/** What the credential of a cluster at the broker is made of. */
export interface CredentialDependencies {
  readonly client: KubeClient;
  /** Namespace of the daemons. */
  readonly namespace: string;
  readonly clusterId: string;
  readonly broker: BrokerConfig;
  /** Only the active gateway renews. */
  readonly mayRenew: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly readText?: (path: string) => string;
  /** Instead of a client that uses this credential; for tests. */
  readonly connect?: (token: (fresh: boolean) => Promise<string | undefined>) => KubeClient;
}

/**
 * The credential of this cluster at the broker, renewed in time and taken from the local Secret as soon as that changes.
 *
 * INVARIANTS: what the Secret holds counts, the mounted file only while the Secret cannot be read; the Secret is replaced
 * only as it was read, so that nobody's newer credential is lost; a credential that never ends is left as it is.
 */
export class BrokerCredential {
  /** The client of the broker that uses it. */
  readonly remote: KubeClient;
  readonly #dependencies: CredentialDependencies;
  readonly #secrets: Store<Secret> | undefined;
  readonly #loop: ReconcileLoop;
  #failure: string | undefined;
  #refused: string | undefined;
  #rejected = false;

  constructor(dependencies: CredentialDependencies) {
    this.#dependencies = dependencies;
    const { client, namespace, broker, logger, clock } = dependencies;
    const { secretName } = broker;
    const only = { namespace, logger, clock, fieldSelector: `metadata.name=${secretName ?? ''}` };
    this.#secrets = secretName === undefined ? undefined : createStore<Secret>(client, RESOURCES.secrets, only);
    this.#loop = new ReconcileLoop({
      name: 'broker credential',
      reconcile: (signal) => this.#reconcile(signal),
      logger,
      clock,
      resyncMs: LOOK_MS,
      backoff: { initialMs: 2000, maxMs: LOOK_MS },
    });
    this.#secrets?.onChange(() => this.#loop.trigger());
    const token = async (fresh: boolean): Promise<string | undefined> => this.#present(fresh);
    this.remote = dependencies.connect?.(token) ?? connect(broker, token);
  }

  /** Renews until aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#loop.run(signal), this.#secrets?.run(signal)]);
  }

  /** When it ends, in milliseconds since the epoch; undefined: never. */
  get expiresAtMs(): number | undefined {
    return readToken(this.#token() ?? '').expiresAtMs;
  }

  /** What the operator ought to know; `reachable`: whether the broker answers, and accepts us, now. */
  problem(reachable: boolean): string | undefined {
    const { clock, clusterId } = this.#dependencies;
    const token = this.#token() ?? '';
    const { account = `cluster-${clusterId}`, ...facts } = readToken(token);
    const { lifeMs, leftMs } = timesOf(facts, clock.now());
    const why = this.#failure === undefined ? '' : `: ${this.#failure}`;
    if (leftMs <= 0)
      return `the credential at the broker ended at ${timeOf(facts.expiresAtMs)}, before it could be renewed${why}; ${MEND}`;
    if (this.#refused === token && (this.#rejected || !reachable))
      return `the broker does not accept the credential of ${account}: it was revoked, or that account was removed; ${MEND}`;
    if (this.#failure === undefined || leftMs > lifeMs * WORRY_AT) return undefined;
    return `the credential at the broker ends at ${timeOf(facts.expiresAtMs)} and cannot be renewed${why}`;
  }

  /** Watches that are open outlive a credential that was revoked: only a new request shows it. */
  async #probe(signal: AbortSignal): Promise<void> {
    const { namespace } = this.#dependencies.broker;
    try {
      await this.remote.find(RESOURCES.brokers, BROKER_NAME, { namespace, signal });
      this.#rejected = false;
    } catch (error) {
      // Everything else is for those to tell who need it.
      this.#rejected = isUnauthorized(error);
    }
  }

  /** After a refusal (`fresh`) the file is read again too; what is still the same was refused. */
  #present(fresh: boolean): string | undefined {
    const token = this.#token();
    if (fresh) this.#refused = token;
    return token;
  }

  #secret(): Secret | undefined {
    const { broker, namespace } = this.#dependencies;
    return this.#secrets?.get(broker.secretName ?? '', namespace);
  }

  #token(): string | undefined {
    const { broker, readText = (path) => readFileSync(path, 'utf8') } = this.#dependencies;
    const stored = this.#secret()?.data?.['token'];
    if (stored !== undefined && stored !== '') return Buffer.from(stored, 'base64').toString().trim();
    if (broker.tokenFile === undefined) return broker.token;
    try {
      return readText(broker.tokenFile).trim();
    } catch {
      return undefined;
    }
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { clock, mayRenew, client, namespace, logger } = this.#dependencies;
    const secret = this.#secret();
    const facts = readToken(this.#token() ?? '');
    const { lifeMs, leftMs } = timesOf(facts, clock.now());
    this.#failure = undefined;
    if (mayRenew()) await this.#probe(signal);
    if (secret === undefined || !mayRenew() || leftMs <= 0 || leftMs > lifeMs * RENEWED_AFTER) return;
    const { account = '', secret: bound } = facts;
    const wish = { namespace: facts.namespace ?? '', account, seconds: lifeMs / 1000, secret: bound };
    try {
      const renewed = await requestToken(this.remote, wish, signal);
      const data = { ...secret.data, token: Buffer.from(renewed).toString('base64') };
      await client.replace(RESOURCES.secrets, { ...secret, data }, { namespace, signal });
      logger.info('renewed the credential at the broker', { ends: timeOf(readToken(renewed).expiresAtMs) });
    } catch (error) {
      this.#failure = messageOf(error);
      throw error;
    }
  }
}

/** What never ends has more time left than any part of its life. */
function timesOf(
  { expiresAtMs, issuedAtMs = 0 }: Pick<TokenFacts, 'expiresAtMs' | 'issuedAtMs'>,
  nowMs: number,
): { readonly lifeMs: number; readonly leftMs: number } {
  if (expiresAtMs === undefined) return { lifeMs: 0, leftMs: Number.POSITIVE_INFINITY };
  return { lifeMs: expiresAtMs - issuedAtMs, leftMs: expiresAtMs - nowMs };
}

const MEND = 'subctl credentials rotate --broker-token gives it a new one';

function timeOf(ms: number | undefined): string {
  return ms === undefined ? 'never' : new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function connect(broker: BrokerConfig, tokenSource: (fresh: boolean) => Promise<string | undefined>): KubeClient {
  const { server, namespace, ca, insecure, proxyUrl } = broker;
  const place = { server, namespace, ca, insecure, proxyUrl };
  return createBrokerClient({ ...place, tokenSource, ...DAEMON_TIMES, source: 'broker' });
}
